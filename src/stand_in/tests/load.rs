//! Many calls at once, and the end of a server.

use super::*;
use std::io::ErrorKind;

#[test]
fn calls_from_many_connections_end_each_session_once() {
    let (server, client) = start(StandInConfig::default());
    let authorization = client.authorization.clone();
    let revoke_all = || {
        let mut client = Client::new(server.address(), "");
        client.authorization.clone_from(&authorization);
        (0..500).filter(|&session| client.invalidate(session, "T1").unwrap().ok()).count()
    };
    let ended: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(revoke_all)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(ended, 500, "one ok for each session, whoever got it");
    let stats = server.stats();
    let counts = stats.of(Method::Invalidate);
    assert_eq!((stats.revoked, stats.repeats, counts.calls, counts.accepted), (500, 1500, 2000, 2000));
    assert!(counts.most_in_flight <= 4);
}

#[test]
fn a_dropped_server_is_gone_with_its_connections() {
    let (server, mut client) = start(StandInConfig::default());
    let address = server.address();
    assert_eq!(server.url(), format!("http://{address}/api/"));
    assert!(client.invalidate(1, "T1").unwrap().ok());
    drop(server);
    assert!(client.invalidate(2, "T1").is_err());
    assert_eq!(client.invalidate(2, "T1").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let again = Server::start(StandInConfig { port: address.port(), ..StandInConfig::default() }).unwrap();
    assert_eq!(again.address(), address);
    assert!(client.invalidate(2, "T1").unwrap().ok());
}
