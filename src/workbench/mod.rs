//! What operators ask of a policy before it is in force: what it grants, why it decides as it does.
//!
//! It takes apart what `policy` and `token` decide, and decides nothing itself. Pure: files are
//! read and results printed by `cli`.

mod advice;
mod coverage;
pub mod diff;
mod explanation;
mod moments;
mod openapi;
pub mod paint;
mod rates;
mod recorded;
mod rehearsed;
pub mod replay;
pub mod review;
mod scope_map;
mod story;
mod token_checks;
mod why;

pub use advice::{AdviceKind, advice};
pub use coverage::{Coverage, Uncovered};
pub use explanation::{
    AnswerStory, Asked, CallerStory, CheckStory, Explanation, ForwardStory, NamedStory, Question, RequiredScope,
    ScopeStory, ServiceStory, TokenKind, TokenStory,
};
pub use openapi::{Imported, NotOpenApi, Note, import_openapi};
pub use rates::LimitStory;
pub use recorded::{Recorded, Unjudged};
pub use rehearsed::{Ending, Own, Rehearsed, Said, Sent, Showing};
pub use scope_map::{Access, ApiMap, Endpoint, ScopeMap};
pub use story::story;
pub use token_checks::{Check, CheckOutcome, Evidence, KeysAtHand, TokenChecks, TokenStep, check_token};
