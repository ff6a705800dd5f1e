//! What the demo asks of its own gateway, and what it expects: the repository's `gateway.yaml`, told
//! in requests.

use super::clients::{self, DemoClient};
use super::issuer::Oddity;
use crate::policy::Reason;
use crate::token::ScopeSyntax;

/// Requests of one client with one token.
pub(super) struct Act {
    /// Whose habits it shows.
    pub(super) product: &'static str,
    /// What is special about it, if anything.
    pub(super) note: &'static str,
    /// A client id; empty where nobody in particular asks.
    pub(super) who: &'static str,
    pub(super) token: Token,
    pub(super) asks: &'static [Ask],
}

/// How an act comes by its token.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    /// Not at all.
    Absent,
    /// Its client asks the issuer's token endpoint for this scope.
    Asked(&'static str),
    /// The issuer signs one for this scope that its token endpoint would not give.
    Signed(&'static str, Oddity),
    /// As asked, but with another account written into it after it was signed.
    Edited(&'static str),
}

/// One request and what is expected.
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) header: Option<(&'static str, &'static str)>,
    pub(super) status: u16,
    pub(super) reason: Reason,
    /// Whether it is printed to be pasted.
    pub(super) pasted: bool,
}

impl Act {
    /// Who asks.
    pub(super) fn client(&self) -> &'static DemoClient {
        clients::find(self.who).unwrap_or(&STRANGER)
    }
}

impl Ask {
    const fn get(path: &'static str, status: u16, reason: Reason) -> Self {
        Self::send("GET", path, status, reason)
    }

    const fn send(method: &'static str, path: &'static str, status: u16, reason: Reason) -> Self {
        Self { method, path, header: None, status, reason, pasted: false }
    }

    const fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    const fn pasted(self) -> Self {
        Self { pasted: true, ..self }
    }
}

/// A client that no file lists.
const STRANGER: DemoClient = DemoClient {
    id: "stranger",
    secret: None,
    account: Some("acme"),
    syntax: ScopeSyntax::Words,
    algorithm: jsonwebtoken::Algorithm::ES256,
    may: &[],
};

const GOOD: Oddity = Oddity { expired: false, without_required: false, subject: None };
const BROWSER: (&str, &str) = ("Origin", "https://shop.example.com");

pub(super) const ACTS: &[Act] = &[
    Act {
        product: "EZ Config",
        note: "",
        who: "acme-integration",
        token: Token::Asked("wk-ezcfg-def-data-read wk-ezcfg-pkg-pkt-read wk-dgs-core-read"),
        asks: &[
            Ask::get("/integration/default-data/acme/forms", 200, Reason::Granted).pasted(),
            Ask::get("/integration/default-data/globex/forms", 403, Reason::AccountForbidden).pasted(),
            Ask::get("/integration/default-data/acme/admin/users", 403, Reason::ScopeInsufficient),
            Ask::send("POST", "/integration/default-data/acme/transactions", 403, Reason::ScopeInsufficient),
            Ask::get("/integration/packages-packets/packages", 200, Reason::Granted).with("X-Account-Id", "acme"),
            Ask::get("/integration/packages-packets/packages", 403, Reason::AccountMissing),
            Ask::get("/integration/dgs-core/request-aliases", 200, Reason::Granted).pasted(),
            Ask::get("/integration/dgs-core/request-aliases?accountId=globex", 403, Reason::AccountForbidden),
        ],
    },
    Act {
        product: "EZ Config",
        note: "its account is in the file",
        who: "globex-integration",
        token: Token::Asked("wk-ezcfg-def-data-read"),
        asks: &[Ask::get("/integration/default-data/globex/forms", 200, Reason::Granted)],
    },
    Act {
        product: "EZ Config",
        note: "super user",
        who: "support-toolsuite",
        token: Token::Asked("wk-ezcfg-def-data-su"),
        asks: &[
            Ask::get("/integration/default-data/globex/forms", 200, Reason::Granted),
            Ask::send("POST", "/integration/default-data/acme/transactions", 200, Reason::Granted).pasted(),
        ],
    },
    Act {
        product: "WireWheel",
        note: "",
        who: "wirewheel-server",
        token: Token::Asked("consent-get-api"),
        asks: &[
            Ask::get("/wirewheel/consents", 200, Reason::Granted),
            Ask::send("POST", "/wirewheel/consents", 401, Reason::ScopeInsufficient).pasted(),
        ],
    },
    Act {
        product: "WireWheel",
        note: "from a server, then from a browser",
        who: "wirewheel-server",
        token: Token::Asked("subject-profile-manage"),
        asks: &[
            Ask::send("PUT", "/wirewheel/subjects/42", 200, Reason::Granted),
            Ask::send("PUT", "/wirewheel/subjects/42", 403, Reason::ClientTypeRejected).with(BROWSER.0, BROWSER.1),
        ],
    },
    Act {
        product: "WireWheel",
        note: "a public client",
        who: "wirewheel-web",
        token: Token::Signed("consent-insert-api subject-profile-manage", GOOD),
        asks: &[
            Ask::send("POST", "/wirewheel/consents", 200, Reason::Granted).with(BROWSER.0, BROWSER.1),
            Ask::send("PUT", "/wirewheel/subjects/42", 403, Reason::ClientTypeRejected).pasted(),
        ],
    },
    Act {
        product: "Venafi",
        note: "deleting is beyond its ceiling",
        who: "venafi-automation",
        token: Token::Asked("certificate:manage,delete;ssh"),
        asks: &[
            Ask::get("/vedsdk/Certificates", 200, Reason::Granted),
            Ask::send("POST", "/vedsdk/Certificates/Request", 200, Reason::Granted).pasted(),
            Ask::send("DELETE", "/vedsdk/Certificates/7", 403, Reason::ScopeInsufficient),
            Ask::send("POST", "/vedsdk/SSH/Devices", 200, Reason::Granted),
            Ask::send("POST", "/vedsdk/SSH/Rotate", 403, Reason::ScopeInsufficient).pasted(),
        ],
    },
    Act {
        product: "webMethods",
        note: "whatever the letter case",
        who: "webmethods-orders",
        token: Token::Asked("Orders_REST"),
        asks: &[
            Ask::get("/integration/restv2/development/fl1deb/orders/7", 200, Reason::Granted).pasted(),
            Ask::get("/integration/restv2/development/fl1deb/orders/7/lines", 404, Reason::RouteUnknown),
            Ask::send("DELETE", "/integration/restv2/development/fl1deb/orders/7", 405, Reason::MethodNotAllowed),
        ],
    },
    Act {
        product: "webMethods",
        note: "one scope is not defined",
        who: "webmethods-orders",
        token: Token::Signed("orders_rest orders_archive", GOOD),
        asks: &[Ask::get("/integration/restv2/development/fl1deb/orders/7", 403, Reason::ScopeUndefined)],
    },
    Act {
        product: "API Scopes",
        note: "the required scope was added",
        who: "registry-portal",
        token: Token::Asked("read_user_data"),
        asks: &[
            Ask::get("/directory/users/7", 200, Reason::Granted).pasted(),
            Ask::send("PUT", "/directory/users/7/profile", 403, Reason::ScopeInsufficient),
        ],
    },
    Act {
        product: "API Scopes",
        note: "the required scope is missing",
        who: "registry-portal",
        token: Token::Signed("read_user_data", Oddity { expired: false, without_required: true, subject: None }),
        asks: &[Ask::get("/directory/users/7", 403, Reason::ScopeRequired).pasted()],
    },
    Act {
        product: "API Scopes",
        note: "a deprecated scope",
        who: "registry-portal",
        token: Token::Asked("read_users"),
        asks: &[Ask::get("/directory/users", 200, Reason::Granted)],
    },
    Act {
        product: "Whatever the product",
        note: "",
        who: "",
        token: Token::Absent,
        asks: &[
            Ask::get("/integration/default-data/health", 200, Reason::Public).pasted(),
            Ask::get("/integration/default-data/acme/forms", 401, Reason::TokenMissing).pasted(),
        ],
    },
    Act {
        product: "Whatever the product",
        note: "",
        who: "acme-integration",
        token: Token::Asked("wk-ezcfg-def-data-read"),
        asks: &[
            Ask::get("/nowhere", 404, Reason::RouteUnknown),
            Ask::send("PATCH", "/integration/default-data/acme/forms", 405, Reason::MethodNotAllowed),
            Ask::get("/integration/default-data/acme%2F..%2Fglobex/forms", 400, Reason::PathAmbiguous).pasted(),
        ],
    },
    Act {
        product: "Whatever the product",
        note: "another account written into it",
        who: "acme-integration",
        token: Token::Edited("wk-ezcfg-def-data-read"),
        asks: &[Ask::get("/integration/default-data/globex/forms", 401, Reason::SignatureInvalid).pasted()],
    },
    Act {
        product: "Whatever the product",
        note: "an old one",
        who: "acme-integration",
        token: Token::Signed(
            "wk-ezcfg-def-data-read",
            Oddity { expired: true, without_required: false, subject: None },
        ),
        asks: &[Ask::get("/integration/default-data/acme/forms", 401, Reason::TokenExpired)],
    },
    Act {
        product: "Whatever the product",
        note: "not in the file",
        who: "stranger",
        token: Token::Signed("wk-ezcfg-def-data-read", GOOD),
        asks: &[Ask::get("/integration/default-data/acme/forms", 403, Reason::ClientUnknown)],
    },
];
