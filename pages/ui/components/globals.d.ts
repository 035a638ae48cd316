// Types of what the scripts meet outside their own files: Streamlit's call, and what the components of a page share.

/** What Streamlit hands to the default export of a component. */
interface Component<Data> {
  data: Data;
  parentElement: ShadowRoot;
  setTriggerValue(name: string, value: unknown): void;
  setStateValue(name: string, value: unknown): void;
}

type Bytes = Uint8Array<ArrayBuffer>;

interface Packet<Header> {
  header: Header;
  payload: Bytes;
}

/** A heading and what each key does below it. */
type Shortcuts = [title: string, rows: [keys: string, does: string][]];

/** What the components of a page share, in `window.vitrine`: each component is a module of its own. */
interface PageState {
  // biome-ignore lint/suspicious/noExplicitAny: every receiver names the header that it expects
  packets: Map<string, Packet<any>>;
  /** "packet" (its detail is the name) when one has come, "shortcuts" when their list is asked for. */
  events: EventTarget;
  shortcuts: Set<Shortcuts>;
  /** How the maps look, and the text of a link that it was read from. */
  view?: import("./comparison_grid/view.js").View;
  viewOfLink?: string;
  /** The look as the text that a link keeps. */
  viewText?: () => string;
}

interface Window {
  vitrine?: PageState;
}
