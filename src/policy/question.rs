//! What is wrong with a question of a data plane about one of its requests.
//!
//! How planes ask, and how they are answered, is `gateway::authorizer`'s.

use thiserror::Error;

/// Why a question is refused before the request that it is about is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuestionFault {
    /// Who asks is none of the listener's `peers`.
    #[error("this address is none of those that may ask here")]
    Stranger,
    /// It lacks what says which request it is about.
    #[error("the question lacks {0}, without which no request can be judged")]
    Missing(&'static str),
    /// It says so more than once.
    #[error("the question has {0} more than once")]
    Repeated(&'static str),
    /// It contradicts itself, or is not of the form that its plane asks in.
    #[error("{0} of the question cannot be read")]
    Unreadable(&'static str),
}
