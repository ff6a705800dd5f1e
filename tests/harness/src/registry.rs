//! What tests of the registry start with, be it asked over HTTP, by its pages or in a browser.

/// A policy whose registry people see and change, with comments and layouts of all kinds, which must stay.
pub const POLICY: &str = r#"
# Who may look and change.
admin:
  address: $ADMIN
  access: { issuer: "https://issuer.example" }   # by its tokens
removal_guard: true
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { file: jwks.json }
    leeway: 0s
  - { issuer: https://other.example, audiences: [https://api.example.com], keys: { file: jwks.json }, leeway: 0s }
clients:
  - id: acme       # the first
    account: acme
    scopes: [data-read]
  # No ceiling.
  - id: app
apis:
  - name: data
    display_name: "Data"   # quoted
    base_path: /data
    upstream: backend
    account: { path: account }
    scopes:
      # Reads.
      - name: data-read   # the usual one
        display_name: Read data
        services:
          - GET /data/{account}/**

      - { name: data-admin, accounts: any, services: ["/data/**"], privileges: { purge: { services: [DELETE /data/*] } } }
      # The end of the scopes.
  - name: open
    base_path: /open
    upstream: backend
    scopes: [{ name: open-all, services: [/open/**] }]
"#;
