//! A listener whose connections can be broken on purpose: a handler can't answer with a reset or a torn body.
//!
//! A handler finds its connection's [`StreamHandle`] in the request (`ConnectInfo`), sets how the next answer goes wrong, and
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

/// What happens to the bytes that are written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextWrite {
    Whole,
    /// None is sent, and the peer gets a RST.
    Reset,
    /// The last so many of them are not sent.
    Torn(usize),
    /// It is over: nothing more is sent.
    Broken,
}

/// Lets a handler break its connection.
#[derive(Debug, Clone)]
pub(super) struct StreamHandle(Arc<Mutex<NextWrite>>);

impl StreamHandle {
    /// The next answer is a reset.
    pub(super) fn reset(&self) {
        self.set(NextWrite::Reset);
    }

    /// The next answer lacks its last `withheld` bytes, and the connection ends after it.
    pub(super) fn truncate(&self, withheld: usize) {
        self.set(NextWrite::Torn(withheld));
    }

    fn next_write(&self) -> NextWrite {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, next_write: NextWrite) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next_write;
    }
}

impl Connected<IncomingStream<'_, FaultyListener>> for StreamHandle {
    fn connect_info(stream: IncomingStream<'_, FaultyListener>) -> Self {
        stream.io().handle.clone()
    }
}

#[derive(Debug)]
pub(super) struct FaultyListener(pub TcpListener);

impl Listener for FaultyListener {
    type Io = FaultyStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        // Without it every answer waits for the delayed ACK of the last; where it can't be set, that is all that happens.
        let _ = stream.set_nodelay(true);
        (FaultyStream { stream, handle: StreamHandle(Arc::new(Mutex::new(NextWrite::Whole))) }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A connection that goes by its [`StreamHandle`].
#[derive(Debug)]
pub(super) struct FaultyStream {
    stream: TcpStream,
    handle: StreamHandle,
}

impl FaultyStream {
    /// An error from a write makes hyper drop the stream at once, and with no time to linger that sends the RST.
    fn reset(&self) -> io::Error {
        self.handle.set(NextWrite::Broken);
        self.stream.set_zero_linger().err().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

/// Vectored writes are left at "no": hyper then hands over a short answer, head and body, as one buffer.
impl AsyncWrite for FaultyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.handle.next_write() {
            NextWrite::Whole => Pin::new(&mut self.stream).poll_write(cx, buf),
            NextWrite::Reset => Poll::Ready(Err(self.reset())),
            NextWrite::Torn(withheld) => {
                let kept = buf.len().saturating_sub(withheld);
                let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &buf[..kept]))?;
                if written == kept {
                    self.handle.set(NextWrite::Broken);
                }
                Poll::Ready(Ok(written))
            }
            NextWrite::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.handle.next_write() {
            // A FIN ahead of the RST would look like an orderly end.
            NextWrite::Reset | NextWrite::Broken => Poll::Ready(Ok(())),
            NextWrite::Whole | NextWrite::Torn(_) => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}
