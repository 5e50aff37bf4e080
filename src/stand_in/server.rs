//! The running stand-in, on its own thread and runtime, so that it doesn't delay the client.

use super::config::{BulkConfig, StandInConfig, StandInToken, TokenEnd};
use super::faults::ReplyScript;
use super::faulty_stream::{FaultyListener, StreamHandle};
use super::reset_bulk::BulkCall;
use super::service::{self, Shared};
use super::sessions::Session;
use super::state::{CallRecord, ServerState, Stats};
use axum::handler::Handler;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// A stand-in Slack on the loopback address. It stops, and its connections end, when this is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the port and starts to serve. Calls are answered as soon as this returns.
    ///
    /// # Errors
    /// If the port is in use, or no socket or thread is available.
    pub fn start(config: StandInConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _within = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let latency = config.latency;
        let shared = Arc::new(Shared::new(ServerState::new(config), latency));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("rehearsal".into());
        let thread = thread.spawn(move || serve(&runtime, listener, serving, stopped))?;
        Ok(Self { shared, address, stop: Some(stop), thread: Some(thread) })
    }

    /// The base URL: `http://127.0.0.1:PORT/api/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.state().stats()
    }

    /// The logged calls ([`StandInConfig::log`]), in order.
    #[must_use]
    pub fn calls(&self) -> Vec<CallRecord> {
        self.shared.state().calls()
    }

    /// The logged calls of `admin.users.session.resetBulk` ([`StandInConfig::log`]), in order.
    #[must_use]
    pub fn bulks(&self) -> Vec<BulkCall> {
        self.shared.state().bulk.calls()
    }

    /// Number of users whose queued job isn't done.
    #[must_use]
    pub fn queued_users(&self) -> usize {
        self.shared.state().bulk.queued()
    }

    /// Replaces the behaviour of `admin.users.session.resetBulk`. Queued jobs stay.
    pub fn set_bulk(&self, bulk: BulkConfig) {
        self.shared.state().bulk.set(bulk);
    }

    /// Adds sessions, or makes them alive again with these owners.
    pub fn set_alive(&self, sessions: impl IntoIterator<Item = Session>) {
        sessions.into_iter().for_each(|session| self.shared.state().store.put(session));
    }

    /// Whether a call would find this session.
    #[must_use]
    pub fn is_alive(&self, session: u64) -> bool {
        self.shared.state().store.is_alive(session)
    }

    /// The known sessions that are alive, in the order of their ids.
    #[must_use]
    pub fn live_sessions(&self) -> Vec<u64> {
        self.shared.state().store.live()
    }

    /// Every known session with whether it is alive, after all queued jobs are done. `None` if there are more than
    /// `most`.
    #[must_use]
    pub fn sessions(&self, most: usize) -> Option<Vec<(Session, bool)>> {
        let mut state = self.shared.state();
        let ServerState { bulk, store, .. } = &mut *state;
        bulk.finish(store);
        (store.len() <= most).then(|| store.all())
    }

    /// Answers calls with this token `token_revoked` from now on.
    pub fn revoke_token(&self, token: &str) {
        self.shared.state().end_token(token, TokenEnd::Revoked);
    }

    /// Answers calls with this token `token_expired` from now on.
    pub fn expire_token(&self, token: &str) {
        self.shared.state().end_token(token, TokenEnd::Expired);
    }

    /// Accepts a token from now on, even if it had ended ([`StandInToken::named`]).
    pub fn accept_token(&self, token: &str) {
        self.shared.state().accept(StandInToken::named(token));
    }

    /// Replaces the scripted answers, for example to start or end an outage.
    pub fn set_script(&self, script: ReplyScript) {
        self.shared.state().script = script;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server was already printed and must not end the client's run.
            let _ = thread.join();
        }
    }
}

/// Serves until `stopped`. Calls in flight are dropped with the runtime.
fn serve(runtime: &Runtime, listener: tokio::net::TcpListener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let app = service::answer.with_state(shared).into_make_service_with_connect_info::<StreamHandle>();
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            _ = axum::serve(FaultyListener(listener), app) => {}
        }
    });
}
