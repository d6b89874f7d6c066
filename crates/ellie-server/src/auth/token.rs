//! Making tokens.

use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use std::io;

/// A new token: `ellie_` and 256 bits from the operating system, in the alphabet of base64url. The prefix lets
/// secret scanners find one that was committed by mistake.
///
/// # Errors
/// The system gives no randomness.
pub fn generate() -> io::Result<Secret> {
    let mut bytes = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(Secret::new(format!("ellie_{}", URL_SAFE_NO_PAD.encode(bytes))))
}
