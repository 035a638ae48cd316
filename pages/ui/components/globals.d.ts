// Types of the scripts' environment: Streamlit's call, and the shared state of the components of a page.

/** The argument with which Streamlit calls the default export of a component. */
interface Component<Data> {
  data: Data;
  parentElement: ShadowRoot;
  setTriggerValue(name: string, value: unknown): void;
  setStateValue(name: string, value: unknown): void;
}

/** What is said about a predicted or true class of an image. */
type Mark = "right" | "wrong" | "true";

type Bytes = Uint8Array<ArrayBuffer>;

interface Packet<Header> {
  header: Header;
  payload: Bytes;
}

/** A heading and the keys below it with their actions. */
type Shortcuts = [title: string, rows: [keys: string, does: string][]];

/** The shared state of the components of a page, in `window.vitrine`: each component is a separate module. */
interface PageState {
  // biome-ignore lint/suspicious/noExplicitAny: every receiver declares the header it expects
  packets: Map<string, Packet<any>>;
  /**
   * "packet" (detail: the name) when one has arrived, "shortcuts" when their list is requested; "present" (detail: on or
   * off) to begin or end the presentation, "presenting" when it has, and in it "step" (detail: to another image or class).
   */
  events: EventTarget;
  shortcuts: Set<Shortcuts>;
  /** Whether the image strip has taken care of the address of this visit. */
  keepsAddress?: boolean;
  /** Whether the page is presented: its maps alone, in the whole window. */
  presenting?: boolean;
  /** The shapes that are drawn in the dialog of a mask, and which opening of it they belong to. */
  drawing?: { opening: string; outlines: [x: number, y: number][][] };
  /** How often the user has asked for the tour. */
  toursAsked?: number;
  /** The view settings of the maps, and the text of the link that they were read from. */
  view?: import("./comparison_grid/view.js").View;
  viewOfLink?: string;
  /** The view settings as text for links. */
  viewText?: () => string;
}

interface Window {
  vitrine?: PageState;
}
