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
 * Makes Back return to the previous page: Streamlit adds an entry to the history for every parameter it writes, which
 * here replaces the entry of the page, so that the entry has the page's last state.
 */
export function keepOneEntryPerPage() {
  if (page.oneEntryPerPage) return;
  page.oneEntryPerPage = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const same = new URL(url ?? "", location.href).pathname === location.pathname;
    if (same) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
}
