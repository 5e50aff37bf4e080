//! A request body that is only sent while its permit is valid.
//!
//! hyper writes the head of a request into its buffer, asks the body for its first frame, and only then writes to the
//! socket. So the first frame is the last moment before the first byte: the connection exists by then, and a body that
//! fails there ends the connection with nothing sent.

use crate::engine::ports::Permit;
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::Body;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of one call.
pub(super) struct PermittedBody {
    permit: Arc<Permit>,
    inner: Body,
}

impl PermittedBody {
    pub(super) fn new(permit: Arc<Permit>, inner: Body) -> Self {
        Self { permit, inner }
    }
}

impl HttpBody for PermittedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        if !self.permit.start() {
            return Poll::Ready(Some(Err("the permit was withdrawn".into())));
        }
        Pin::new(&mut self.inner).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
