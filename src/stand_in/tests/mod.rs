//! The stand-in over real sockets. Order and counts are asserted, never seconds.

mod client;
mod limits;
mod load;
mod methods;
mod samples;
mod trouble;

use super::*;
use client::Client;

/// A server and a client of its default token.
fn start(config: StandInConfig) -> (Server, Client) {
    let token = config.tokens[0].text.clone();
    let server = Server::start(config).expect("a free port");
    let client = Client::new(server.address(), &token);
    (server, client)
}

/// Sessions 1 to 3 in two workspaces.
fn three() -> SessionStore {
    SessionStore::listed([Session::new(1, "T1", "U1"), Session::new(2, "T1", "U2"), Session::new(3, "T2", "U1")])
}
