// Types of the part of Cytoscape that the rule graph uses; it comes without types.

declare namespace Cytoscape {
  type Data = Record<string, string | number>;

  interface Element {
    id(): string;
    isNode(): boolean;
    /** A number or a text, depending on the name. */
    // biome-ignore lint/suspicious/noExplicitAny: as in the library's own documentation
    data(name: string): any;
    source(): Element;
    target(): Element;
    connectedEdges(): Collection;
    connectedNodes(): Collection;
    addClass(names: string): void;
  }

  interface Collection extends Iterable<Element> {
    readonly length: number;
    [index: number]: Element;
    filter(wanted: (element: Element) => boolean): Collection;
    not(other: string | Element | Collection): Collection;
    union(other: Element | Collection): Collection;
    sort(compare: (a: Element, b: Element) => number): Collection;
    edgesWith(other: Collection): Collection;
    connectedNodes(): Collection;
    addClass(names: string): Collection;
    removeClass(names: string): Collection;
    remove(): void;
  }

  interface Style {
    selector: string;
    style: Record<string, string | number | ((element: Element) => string | number)>;
  }

  type Factory = (options: object) => Core;

  interface Core {
    batch(change: () => void): void;
    add(elements: object[]): void;
    elements(selector?: string): Collection;
    nodes(): Collection;
    edges(): Collection;
    getElementById(id: string): Collection;
    on(events: string, selector: string, heard: (event: { target: Element }) => void): void;
    on(events: string, heard: (event: { target: Element | Core }) => void): void;
    style(styles: Style[]): void;
    fit(elements: Collection, padding: number): void;
    zoom(): number;
    zoom(level: number): Core;
    center(elements: Collection): void;
    resize(): void;
    png(options: object): Blob;
    destroy(): void;
  }
}

declare var cytoscape: Cytoscape.Factory | undefined;
