//! The kinds of texts that the documents have, as patterns. They are never stricter than what reads the
//! texts in the end.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::config::compile::{algorithm_names, is_of_a_token};
use crate::config::document::{AddressText, DurationText};
use crate::policy::{MethodSet, Reason};

/// Of apis and upstreams.
pub(super) const NAME: &str = "^[A-Za-z0-9._-]{1,256}$";
/// Of privileges, without their scope.
pub(super) const PRIVILEGE: &str = r"^[!#-+\--9<-\[\]-~]{1,254}$";

const SCOPE: &str = r"^[!#-\[\]-~]{1,256}$";
const CLIENT: &str = "^[ -~]{1,256}$";
const PLAIN: &str = r"^[^\u0000-\u001f\u007f]+$";
const FILE: &str = r"^[^\u0000]+$";
const URL: &str = r"^https?://[^\s\\#]+$";
const REDIS: &str = r"^rediss?://[^\s\\#?@]+$";
const PATH: &str = r"^/[^\s?#*{}]+$";
const BASE: &str = r"^[^\s?#*{}]+$";
const HOST: &str = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]+)?$";
const SERVER: &str = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]+$";
const ADDRESS: &str = r"^([0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]+$";
const NETWORK: &str = "^[0-9A-Fa-f:.]+(/[0-9]+)?$";
const HEADER: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
const ORIGIN: &str = r"^(\*|[a-z][a-z0-9+.-]*://[^\s/?#*]+)$";
const METHOD: &str = "^[A-Z-]+$";
const CAPTURE: &str = "^[A-Za-z0-9_-]+$";
const PARAMETER: &str = "^[A-Za-z0-9_.~-]+$";
const CLAIM: &str = r"^[^.]|://";
const SHA256: &str = "^(:*[0-9A-Fa-f]){64}:*$";
const DURATION: &str = r"^\s*([0-9][0-9.\s]*(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\s*)+$";
const REQUEST: &str = r"^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+ +)?/\S*\s*$";

/// A type for each kind: its name in the schema, what it says, its pattern and an example.
macro_rules! texts {
    ($($kind:ident: $text:literal, $pattern:expr, $example:literal;)*) => {$(
        #[derive(Debug)]
        pub(in crate::config) struct $kind;

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $text, "pattern": $pattern, "examples": [$example] })
            }
        }
    )*};
}

texts! {
    Name: "A name of letters, digits, `-`, `_` and `.`.", NAME, "integration";
    Scope: "The name of a scope, or `scope:privilege`: visible ASCII without `\"` and `\\`.", SCOPE, "orders_read";
    Client: "A client id: printable ASCII.", CLIENT, "acme-integration";
    Account: "An account's name.", PLAIN, "acme";
    Plain: "A text without control characters.", PLAIN, "https://login.example.com";
    File: "A path; a relative one starts at the directory of this file.", FILE, "keys/jwks.json";
    Url: "A URL with `https`, or `http` on this machine.", URL, "https://login.example.com/jwks";
    RedisUrl: "`redis://host:port/database`, or `rediss://` for TLS.", REDIS, "redis://127.0.0.1:6379/0";
    Path: "A literal path.", PATH, "/oauth/revoke";
    Base: "A literal path.", BASE, "/integration/orders";
    Host: "A host, with a port if only that one is meant.", HOST, "api.example.com";
    Server: "A host and its port.", SERVER, "127.0.0.1:9000";
    Address: "An address in numbers, and a port.", ADDRESS, "0.0.0.0:8080";
    Network: "An address, or a network of them.", NETWORK, "10.0.0.0/8";
    Header: "A header's name.", HEADER, "X-Account-Id";
    Origin: "A page's origin as browsers send it: scheme, host, and a port that is not the usual one.", ORIGIN, "https://app.example.com";
    Method: "A method.", METHOD, "GET";
    Capture: "The name alone: `account` for `{account}`.", CAPTURE, "account";
    Parameter: "A query parameter's name.", PARAMETER, "accountId";
    Claim: "A claim's name, or the way to it.", CLAIM, "realm_access.roles";
    Sha256: "64 hexadecimal digits.", SHA256, "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08";
    Duration: "A number and a unit.", DURATION, "30s";
    Service: "Methods and a path pattern: `GET,POST /x`; `* /x` or `/x` for every method. A segment is literal, `*` or `{name}`; a final `**` takes any rest.", service(), "GET /orders/{account}/**";
    RequestLine: "A method and a target; `GET` if left out.", REQUEST, "GET /orders/acme?limit=5";
}

/// What names of headers are made of.
pub(in crate::config) fn headers() -> Value {
    json!({ "pattern": HEADER })
}

/// A path after methods that a service can list, if it has any.
fn service() -> String {
    let methods: Vec<_> = MethodSet::ALL.names().collect();
    let methods = methods.join("|");
    format!(r"^\s*((\*|({methods})(,({methods}))*)\s+)?[^\s?#]+\s*$")
}

/// A signature algorithm that is supported.
#[derive(Debug)]
pub(in crate::config) struct Algorithm;

impl JsonSchema for Algorithm {
    fn schema_name() -> Cow<'static, str> {
        "Algorithm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = algorithm_names().collect();
        json_schema!({ "type": "string", "description": "A signature algorithm.", "enum": names })
    }
}

/// A reason that a policy gives.
#[derive(Debug)]
pub(in crate::config) struct ReasonCode;

impl JsonSchema for ReasonCode {
    fn schema_name() -> Cow<'static, str> {
        "Reason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes = Reason::ALL.iter().filter(|reason| !is_of_a_token(**reason));
        let codes: Vec<_> = codes.map(|reason| reason.as_str()).collect();
        json_schema!({ "type": "string", "description": "The code of a reason.", "enum": codes })
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        Duration::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Duration::json_schema(generator)
    }
}

impl JsonSchema for AddressText {
    fn schema_name() -> Cow<'static, str> {
        Address::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Address::json_schema(generator)
    }
}
