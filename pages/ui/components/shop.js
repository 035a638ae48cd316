// What the parts of a page share, before every part's own script: packets of bytes by name, news of them and of questions
// for the keys, and the keys of the parts that are shown.
const shop = (window.vitrine ??= { blobs: new Map(), bus: new EventTarget(), keys: new Set() });
