//! Static files: the console and the widget, out of the binary.
