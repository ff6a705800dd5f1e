//! Published ways around proxies, tried on the real binary over raw sockets.
//!
//! What counts is what reached the upstream, read as servers of several kinds would read it: each of
//! their readings must be one that the caller may have. Letter case, and the dots and spaces that some
//! file systems drop from the end of names, are not folded: patterns do not fold them either.

mod answers;
#[path = "../../src/fuzzing/decoders.rs"]
mod decoders;
mod framing;
mod headers;
mod http2;
mod load;
mod methods;
mod queries;
mod targets;
mod wire;
