//! The whole server over real sockets, started in this process on free ports.

mod client;
mod server;
mod chat;
mod resume;
mod hostile;
mod kill;
mod command;
