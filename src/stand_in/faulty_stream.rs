//! A listener whose connections can be broken, because a handler can't answer with a reset or a truncated body.
//!
//! A handler gets the [`StreamHandle`] of its connection from the request (`ConnectInfo`), sets the fault of the next
//! answer, and answers normally.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next written bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextWrite {
    Whole,
    /// Nothing is sent, and the peer gets a RST.
    Reset,
    /// The last bytes aren't sent.
    Torn(usize),
    /// Nothing more is sent.
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

    /// The next answer is sent without its last `withheld` bytes, and the connection ends.
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
        // Without it, answers wait for delayed ACKs, which is the only effect of an error here.
        let _ = stream.set_nodelay(true);
        (FaultyStream { stream, handle: StreamHandle(Arc::new(Mutex::new(NextWrite::Whole))) }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[derive(Debug)]
pub(super) struct FaultyStream {
    stream: TcpStream,
    handle: StreamHandle,
}

impl FaultyStream {
    /// After a write error hyper drops the stream, which sends a RST because the linger time is zero.
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

/// Without vectored writes, hyper passes head and body of a short answer as one buffer.
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
            // A FIN before the RST would look like an orderly end.
            NextWrite::Reset | NextWrite::Broken => Poll::Ready(Ok(())),
            NextWrite::Whole | NextWrite::Torn(_) => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}
