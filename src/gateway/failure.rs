//! What goes wrong after a request was allowed: on the way to the upstream, there, or on the way back.

use http::StatusCode;
use pingora::{Error, ErrorSource, ErrorType};

/// Why a request that was allowed was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No server of the upstream could be connected to; nothing was sent.
    UpstreamUnavailable,
    /// The upstream's answer broke off or was no HTTP.
    UpstreamFailed,
    /// The upstream took too long.
    UpstreamTimeout,
    /// The client took too long to send its body.
    RequestTimeout,
    /// The client broke the framing of its body or connection.
    RequestInvalid,
    /// The client went away: there is nobody to answer.
    ClientGone,
    /// The gateway itself.
    Internal,
}

impl Failure {
    /// What pingora's error comes to.
    pub(super) fn of(error: &Error) -> Self {
        match error.esource() {
            ErrorSource::Upstream => match kind(error.etype()) {
                Kind::Connecting => Self::UpstreamUnavailable,
                Kind::Late => Self::UpstreamTimeout,
                Kind::Gone | Kind::Other => Self::UpstreamFailed,
            },
            ErrorSource::Downstream => match kind(error.etype()) {
                Kind::Late => Self::RequestTimeout,
                Kind::Gone => Self::ClientGone,
                Kind::Connecting | Kind::Other => Self::RequestInvalid,
            },
            ErrorSource::Internal | ErrorSource::Unset => Self::Internal,
        }
    }

    /// Its code in bodies and audit lines.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::RequestInvalid => "request_invalid",
            Self::ClientGone => "client_gone",
            Self::Internal => "internal_error",
        }
    }

    /// Its code, where the audit line says what went wrong with the upstream.
    pub(super) fn upstream_error(self) -> Option<&'static str> {
        match self {
            Self::UpstreamUnavailable | Self::UpstreamFailed | Self::UpstreamTimeout | Self::Internal => {
                Some(self.as_str())
            }
            Self::RequestTimeout | Self::RequestInvalid | Self::ClientGone => None,
        }
    }

    /// The status that answers it, `None` where nobody is there to answer.
    pub(super) fn status(self) -> Option<StatusCode> {
        match self {
            Self::UpstreamUnavailable => Some(StatusCode::SERVICE_UNAVAILABLE),
            Self::UpstreamFailed => Some(StatusCode::BAD_GATEWAY),
            Self::UpstreamTimeout => Some(StatusCode::GATEWAY_TIMEOUT),
            Self::RequestTimeout => Some(StatusCode::REQUEST_TIMEOUT),
            Self::RequestInvalid => Some(StatusCode::BAD_REQUEST),
            Self::ClientGone => None,
            Self::Internal => Some(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// The kinds of pingora's errors, as far as answers differ.
enum Kind {
    Connecting,
    Late,
    Gone,
    Other,
}

fn kind(error: &ErrorType) -> Kind {
    match error {
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::TLSWantX509Lookup
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => Kind::Connecting,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Kind::Late,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Kind::Gone,
        ErrorType::AcceptError
        | ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Error
        | ErrorType::H2Downgrade
        | ErrorType::InvalidH2
        | ErrorType::HTTPStatus(_)
        | ErrorType::FileOpenError
        | ErrorType::FileCreateError
        | ErrorType::FileReadError
        | ErrorType::FileWriteError
        | ErrorType::InternalError
        | ErrorType::UnknownError
        | ErrorType::Custom(_)
        | ErrorType::CustomCode(..) => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_answered_by_whose_it_is() {
        for (error, failure) in [
            (Error::new_up(ErrorType::ConnectRefused), Failure::UpstreamUnavailable),
            (Error::new_up(ErrorType::ConnectTimedout), Failure::UpstreamUnavailable),
            (Error::new_up(ErrorType::ReadTimedout), Failure::UpstreamTimeout),
            (Error::new_up(ErrorType::ConnectionClosed), Failure::UpstreamFailed),
            (Error::new_up(ErrorType::InvalidHTTPHeader), Failure::UpstreamFailed),
            (Error::new_down(ErrorType::ReadTimedout), Failure::RequestTimeout),
            (Error::new_down(ErrorType::ConnectionClosed), Failure::ClientGone),
            (Error::new_down(ErrorType::InvalidHTTPHeader), Failure::RequestInvalid),
            (Error::new_in(ErrorType::InternalError), Failure::Internal),
            (Error::new(ErrorType::InternalError), Failure::Internal),
        ] {
            assert_eq!(Failure::of(&error), failure, "{error}");
        }
    }
}
