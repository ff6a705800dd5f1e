//! The clients that the development issuer knows: fixed, in keeping with the repository's
//! `gateway.yaml`. Their secrets are no secrets.

use jsonwebtoken::Algorithm;

use crate::token::ScopeSyntax;

/// A client of the development issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DemoClient {
    pub(super) id: &'static str,
    /// `None`: a public client, which the token endpoint serves nothing.
    pub(super) secret: Option<&'static str>,
    /// The `account_id` of its tokens.
    pub(super) account: Option<&'static str>,
    /// How it asks for scopes; the issuer with the same syntax is its own.
    pub(super) syntax: ScopeSyntax,
    /// What its tokens are signed with.
    pub(super) algorithm: Algorithm,
    /// What it may ask for, privileges written out.
    pub(super) may: &'static [&'static str],
}

/// The client of this id.
pub(super) fn find(id: &str) -> Option<&'static DemoClient> {
    CLIENTS.iter().find(|client| client.id == id)
}

const EZ_CONFIG_READ: &[&str] = &["wk-ezcfg-pkg-pkt-read", "wk-ezcfg-def-data-read", "wk-dgs-core-read"];
const WIREWHEEL: &[&str] = &["consent-get-api", "consent-insert-api", "subject-profile-manage"];

pub(super) const CLIENTS: &[DemoClient] = &[
    DemoClient {
        id: "acme-integration",
        secret: Some("acme-secret"),
        account: Some("acme"),
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::RS256,
        may: EZ_CONFIG_READ,
    },
    DemoClient {
        id: "globex-integration",
        secret: Some("globex-secret"),
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: EZ_CONFIG_READ,
    },
    DemoClient {
        id: "support-toolsuite",
        secret: Some("support-secret"),
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: &["wk-ezcfg-pkg-pkt-su", "wk-ezcfg-def-data-su"],
    },
    DemoClient {
        id: "wirewheel-server",
        secret: Some("wirewheel-secret"),
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: WIREWHEEL,
    },
    DemoClient {
        id: "wirewheel-web",
        secret: None,
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: WIREWHEEL,
    },
    DemoClient {
        id: "venafi-automation",
        secret: Some("venafi-secret"),
        account: None,
        syntax: ScopeSyntax::Privileges,
        algorithm: Algorithm::ES256,
        may: &["certificate:discover", "certificate:manage", "certificate:revoke", "certificate:delete", "ssh"],
    },
    DemoClient {
        id: "venafi-admin",
        secret: Some("venafi-admin-secret"),
        account: None,
        syntax: ScopeSyntax::Privileges,
        algorithm: Algorithm::ES256,
        may: &[
            "admin:delete",
            "admin:recyclebin",
            "agent:delete",
            "certificate:approve",
            "certificate:delete",
            "codesign:approve",
            "codesign:delete",
            "codesign:manage",
            "codesignclient",
            "configuration:delete",
            "configuration:manage",
            "restricted:delete",
            "restricted:manage",
            "security:delete",
            "security:manage",
            "ssh:approve",
            "ssh:delete",
            "ssh:discover",
            "ssh:manage",
            "statistics",
        ],
    },
    DemoClient {
        id: "webmethods-orders",
        secret: Some("webmethods-secret"),
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: &["orders_flows", "orders_rest"],
    },
    DemoClient {
        id: "registry-portal",
        secret: Some("portal-secret"),
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: &["use_directory", "read_user_data", "read_users", "update_profile"],
    },
    DemoClient {
        id: "registry-admin",
        secret: Some("admin-secret"),
        account: None,
        syntax: ScopeSyntax::Words,
        algorithm: Algorithm::ES256,
        may: &["use_directory", "read_user_data", "update_profile", "admin_access"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::samples::repository_file;

    #[test]
    fn the_repositorys_file_defines_every_scope_that_a_client_may_ask_for() {
        let policy = repository_file().policy;
        for client in CLIENTS {
            for scope in client.may {
                assert!(policy.scope_named(scope).is_some(), "{}: {scope}", client.id);
            }
        }
    }

    #[test]
    fn no_two_clients_share_an_id() {
        let mut ids: Vec<_> = CLIENTS.iter().map(|client| client.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CLIENTS.len());
    }
}
