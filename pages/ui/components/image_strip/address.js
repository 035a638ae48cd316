// The address of a page, and its entry in the browser's history.

import { page } from "../shared.js";

/**
 * The address of this page with the session's parameters replaced.
 * @param {string} query  their text
 * @param {string[]} names  their names
 */
export function stateAddress(query, names) {
  const url = new URL(location.href);
  const others = [...url.searchParams].filter(([name]) => !names.includes(name));
  url.search = query;
  for (const [name, value] of others) url.searchParams.append(name, value);
  return url;
}

/**
 * Takes care of the address from the first visit on. Streamlit adds an entry to the history for every parameter it
 * writes: here it replaces the entry of the page, so that Back returns to the previous page, in its last state.
 * @param {string} query  the session's parameters at the first visit, which Python does not write itself
 * @param {string[]} names
 */
export function keepAddress(query, names) {
  if (page.keepsAddress) return;
  page.keepsAddress = true;
  history.replaceState(history.state, "", stateAddress(query, names));
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const same = new URL(url ?? "", location.href).pathname === location.pathname;
    if (same) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
}
