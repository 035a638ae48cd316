"""The parts of pages: session, widgets, the frame around every page, and components that run in the browser."""
