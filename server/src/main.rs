//! The program `livehelp`.

fn main() {}
