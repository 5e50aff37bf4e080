//! A listener whose connections can be told to break: a reset and a torn body are nothing that a handler can answer.
//!
//! A handler finds its connection's [`Line`] in the request (`ConnectInfo`), tells it how the next answer goes wrong, and
//! then answers as if nothing were wrong.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a connection's next bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They are sent.
    Whole,
    /// None is sent, and the peer gets a RST.
    Reset,
    /// The last so many of them are not sent.
    Torn(usize),
    /// It is over: nothing more is sent.
    Broken,
}

/// A handler's hold on its connection.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Mutex<Fate>>);

impl Line {
    /// The next answer is a reset.
    pub(super) fn reset(&self) {
        self.set(Fate::Reset);
    }

    /// The next answer lacks its last `withheld` bytes, and the connection ends after it.
    pub(super) fn tear(&self, withheld: usize) {
        self.set(Fate::Torn(withheld));
    }

    fn fate(&self) -> Fate {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fate: Fate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }
}

impl Connected<IncomingStream<'_, BreakableListener>> for Line {
    fn connect_info(stream: IncomingStream<'_, BreakableListener>) -> Self {
        stream.io().line.clone()
    }
}

/// Accepts [`BreakableStream`]s.
#[derive(Debug)]
pub(super) struct BreakableListener(pub TcpListener);

impl Listener for BreakableListener {
    type Io = BreakableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        // Without it every answer waits for the delayed ACK of the last; where it cannot be set, that is all that happens.
        let _ = stream.set_nodelay(true);
        (BreakableStream { stream, line: Line(Arc::new(Mutex::new(Fate::Whole))) }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A connection that goes by its [`Line`].
#[derive(Debug)]
pub(super) struct BreakableStream {
    stream: TcpStream,
    line: Line,
}

impl BreakableStream {
    /// An error from a write makes hyper drop the stream at once, and with no time to linger that sends the RST.
    fn reset(&self) -> io::Error {
        self.line.set(Fate::Broken);
        self.stream.set_zero_linger().err().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

/// Vectored writes are left at "no": hyper then hands over a short answer, head and body, as one buffer.
impl AsyncWrite for BreakableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.line.fate() {
            Fate::Whole => Pin::new(&mut self.stream).poll_write(cx, buf),
            Fate::Reset => Poll::Ready(Err(self.reset())),
            Fate::Torn(withheld) => {
                let kept = buf.len().saturating_sub(withheld);
                let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &buf[..kept]))?;
                if written == kept {
                    self.line.set(Fate::Broken);
                }
                Poll::Ready(Ok(written))
            }
            Fate::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.line.fate() {
            // A FIN ahead of the RST would look like an orderly end.
            Fate::Reset | Fate::Broken => Poll::Ready(Ok(())),
            Fate::Whole | Fate::Torn(_) => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}
