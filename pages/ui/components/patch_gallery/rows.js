// The layout of a gallery: rows of headings and of pictures, one below the other.

/**
 * @typedef {object} Row  a heading, or the pictures from `first` to before `last`
 * @property {number} y
 * @property {number} height
 * @property {string} title  "" for a row of pictures
 * @property {number} count  pictures below a heading
 * @property {number} first
 * @property {number} last
 *
 * @typedef {object} Arrangement
 * @property {Row[]} rows
 * @property {number} columns
 * @property {{ x: number, y: number }} pitch  from one picture to the next
 * @property {number} height  of all rows
 */

const CAPTION = 19;
const HEADING = 34;

export const GAP = 6;

/**
 * @param {[title: string, count: number][]} groups
 * @param {number} tile  side of a picture
 * @param {number} lines  of text below it
 * @param {number} width
 * @returns {Arrangement}
 */
export function arrange(groups, tile, lines, width) {
  const columns = Math.max(1, Math.floor((width - GAP) / (tile + 6 + GAP)));
  const pitch = { x: (width - GAP) / columns, y: tile + 6 + GAP + lines * CAPTION };
  /** @type {Row[]} */
  const rows = [];
  let y = GAP;
  let first = 0;
  for (const [title, count] of groups) {
    if (title) {
      rows.push({ y, height: HEADING, title, count, first, last: first });
      y += HEADING;
    }
    const end = first + count;
    for (; first < end; first += columns) {
      rows.push({ y, height: pitch.y, title: "", count: 0, first, last: Math.min(first + columns, end) });
      y += pitch.y;
    }
    first = end;
  }
  return { rows, columns, pitch, height: y };
}

/**
 * The rows visible between two heights, and one more on either side.
 * @param {Row[]} rows
 * @param {number} top
 * @param {number} bottom
 */
export function rowsBetween(rows, top, bottom) {
  return rows.slice(Math.max(0, rowAt(rows, top) - 1), rowAt(rows, bottom) + 2);
}

/**
 * The last row that begins at or above a height, by binary search.
 * @param {Row[]} rows
 * @param {number} y
 */
function rowAt(rows, y) {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].y <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * The number of pictures by which each key moves.
 * @param {Arrangement} arrangement
 * @param {number} height  of the visible area
 * @param {number} count  of all pictures
 * @returns {Record<string, number | undefined>}
 */
export function steps({ columns, pitch }, height, count) {
  const page = columns * Math.max(1, Math.floor(height / pitch.y));
  return {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    PageUp: -page,
    PageDown: page,
    Home: -count,
    End: count,
  };
}
