//! Key material: the numbers that a key is, checked, in one form however it was written.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, VerificationAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::base64url;
use super::keys::KeyFault;
use super::sha256::sha256;

/// What signatures are verified with.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point of the curve, uncompressed: 4, x, y (SEC 1 section 2.3.3).
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    Ed25519([u8; 32]),
    Secret(Vec<u8>),
}

/// RFC 7518 section 6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

/// In bits; RFC 7518 section 3.3 asks for 2048, and more than 8192 only costs time.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// RFC 7518 section 3.2: as long as the hash.
const SHORTEST_SECRET: usize = 32;

impl Material {
    /// From big-endian numbers; leading zeros do not count.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_MODULUS.contains(&bits) {
            return Err(KeyFault::RsaModulus(bits));
        }
        if !is_odd(n) {
            return Err(KeyFault::Malformed("its RSA modulus is even"));
        }
        if e.len() > 4 || !is_odd(e) || e == [1] {
            return Err(KeyFault::RsaExponent);
        }
        Ok(Self::Rsa { n: n.into(), e: e.into() })
    }

    /// From the coordinates, each as long as the curve's field (RFC 7518 section 6.2.1.2).
    pub(super) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyFault> {
        if x.len() != curve.coordinate() || y.len() != curve.coordinate() {
            return Err(KeyFault::Malformed("its coordinates are not as long as its curve asks for"));
        }
        Self::ec_point(curve, &[&[4], x, y].concat())
    }

    /// From an uncompressed point.
    pub(super) fn ec_point(curve: Curve, point: &[u8]) -> Result<Self, KeyFault> {
        if point.first() != Some(&4) || point.len() != 1 + 2 * curve.coordinate() {
            return Err(KeyFault::Malformed("its point is not an uncompressed one of its curve"));
        }
        match ParsedPublicKey::new(curve.verification(), point) {
            Ok(_) => Ok(Self::Ec { curve, point: point.into() }),
            Err(_) => Err(KeyFault::NotOnCurve),
        }
    }

    /// From the encoded point of RFC 8032 section 5.1.2.
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, KeyFault> {
        let point =
            <[u8; 32]>::try_from(bytes).map_err(|_| KeyFault::Malformed("its Ed25519 point is not 32 bytes long"))?;
        if is_of_small_order(point) { Err(KeyFault::SmallOrder) } else { Ok(Self::Ed25519(point)) }
    }

    /// From a secret's bytes.
    pub(super) fn secret(bytes: Vec<u8>) -> Result<Self, KeyFault> {
        if bytes.len() < SHORTEST_SECRET {
            return Err(KeyFault::ShortSecret(bytes.len()));
        }
        Ok(Self::Secret(bytes))
    }

    /// Whether signatures of this algorithm can be verified with it. A secret never fits an
    /// asymmetric algorithm nor a public key a symmetric one, and a curve has one algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa { .. } => matches!(
                algorithm,
                Algorithm::RS256
                    | Algorithm::RS384
                    | Algorithm::RS512
                    | Algorithm::PS256
                    | Algorithm::PS384
                    | Algorithm::PS512
            ),
            Self::Ec { curve: Curve::P256, .. } => algorithm == Algorithm::ES256,
            Self::Ec { curve: Curve::P384, .. } => algorithm == Algorithm::ES384,
            Self::Ed25519(_) => algorithm == Algorithm::EdDSA,
            Self::Secret(bytes) => [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
                .into_iter()
                .any(|(fitting, shortest)| algorithm == fitting && bytes.len() >= shortest),
        }
    }

    /// In the form that jsonwebtoken's verifiers take.
    pub(super) fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::Ec { point, .. } => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
            Self::Secret(bytes) => DecodingKey::from_secret(bytes),
        }
    }

    /// The SHA-256 thumbprint of RFC 7638 (RFC 8037 section 2 for Ed25519).
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        let text = base64url::encode;
        let json = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::Ec { curve, point } => {
                let (x, y) =
                    point.get(1..).unwrap_or_default().split_at_checked(curve.coordinate()).unwrap_or_default();
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), text(x), text(y))
            }
            Self::Ed25519(point) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(point)),
            Self::Secret(bytes) => format!(r#"{{"k":"{}","kty":"oct"}}"#, text(bytes)),
        };
        sha256(&[json.as_bytes()])
    }
}

impl Curve {
    /// By its name in a JWK.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::P256, Self::P384].into_iter().find(|curve| curve.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// The length of a coordinate in bytes.
    fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
        }
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}

/// Whether it is one of the points with which a signature of any message can be made up: those of
/// order 1, 2, 4 and 8, in each of their encodings, whatever the sign bit.
fn is_of_small_order(mut point: [u8; 32]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    point[31] &= 0x7f;
    // y = 0 and 1, then p - 1, p and p + 1 with p = 2^255 - 19.
    let little = point[1..].iter().all(|byte| *byte == 0) && point[0] <= 1;
    let by_p = point[1..31].iter().all(|byte| *byte == 0xff) && point[31] == 0x7f && (0xec..=0xee).contains(&point[0]);
    little || by_p || ORDER_8.contains(&point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::parse_hex;

    fn modulus(bits: usize) -> Vec<u8> {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        n
    }

    #[test]
    fn weak_and_oversized_rsa_keys_are_refused() {
        let e = [1, 0, 1];
        for bits in [2048, 2049, 3072, 8192] {
            assert!(Material::rsa(&modulus(bits), &e).is_ok(), "{bits}");
        }
        for bits in [8, 512, 1024, 2047, 8193, 16384] {
            assert_eq!(Material::rsa(&modulus(bits), &e).err(), Some(KeyFault::RsaModulus(bits)));
        }
        assert_eq!(Material::rsa(&[], &e).err(), Some(KeyFault::RsaModulus(0)));
        assert_eq!(Material::rsa(&[0; 256], &e).err(), Some(KeyFault::RsaModulus(0)));
        for exponent in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert_eq!(Material::rsa(&modulus(2048), exponent).err(), Some(KeyFault::RsaExponent), "{exponent:?}");
        }
        assert!(Material::rsa(&modulus(2048), &[3]).is_ok());
    }

    #[test]
    fn leading_zeros_make_no_other_key() {
        let padded = [&[0, 0][..], &modulus(2048)].concat();
        let (plain, padded) =
            (Material::rsa(&modulus(2048), &[1, 0, 1]).unwrap(), Material::rsa(&padded, &[0, 1, 0, 1]).unwrap());
        assert_eq!(plain.thumbprint(), padded.thumbprint());
    }

    #[test]
    fn a_point_must_be_on_its_curve() {
        assert_eq!(Material::ec(Curve::P256, &[1; 32], &[1; 32]).err(), Some(KeyFault::NotOnCurve));
        assert_eq!(Material::ec(Curve::P256, &[0; 32], &[0; 32]).err(), Some(KeyFault::NotOnCurve));
        assert!(matches!(Material::ec(Curve::P384, &[1; 32], &[1; 32]), Err(KeyFault::Malformed(_))));
        assert!(matches!(Material::ec_point(Curve::P256, &[2; 33]), Err(KeyFault::Malformed(_))));
    }

    /// With such a key a signature of R = neutral and S = 0 holds for every eighth message or more.
    #[test]
    fn every_ed25519_key_that_takes_made_up_signatures_is_refused() {
        use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

        let mut low = [0; 32];
        let mut points = vec![];
        for first in [0, 1] {
            low[0] = first;
            points.push(low);
        }
        for first in [0xec, 0xed, 0xee] {
            let mut point = [0xff; 32];
            (point[0], point[31]) = (first, 0x7f);
            points.push(point);
        }
        for hex in [
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            points.push(parse_hex(hex).unwrap());
        }
        let mut neutral_and_zero = [0; 64];
        neutral_and_zero[0] = 1;
        let mut forgeable = 0;
        for point in points {
            assert_eq!(Material::ed25519(&point).err(), Some(KeyFault::SmallOrder), "{point:02x?}");
            let key = UnparsedPublicKey::new(&ED25519, point);
            forgeable += usize::from((0..64_u8).any(|message| key.verify(&[message], &neutral_and_zero).is_ok()));
        }
        assert!(forgeable > 0, "the danger is real");
        assert!(Material::ed25519(&[9; 32]).is_ok());
    }

    /// RFC 7638 section 3.1 and RFC 8037 appendix A.3.
    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
                 FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9\
                 c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1\
                 jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = Material::rsa(&base64url::decode(n).unwrap(), &[1, 0, 1]).unwrap();
        assert_eq!(base64url::encode(&rsa.thumbprint()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let x = base64url::decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let ed25519 = Material::ed25519(&x).unwrap();
        assert_eq!(base64url::encode(&ed25519.thumbprint()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
