"""The building blocks of pages: session, widgets, the frame of every page, and components in the browser."""
