//! Who may do what: bearer tokens with a scope.
//!
//! There is one operator token, configured or made at first start and kept in `operator.token`, and any number of
//! further ones from `ellie token create`, of which `tokens.json` keeps only hashes. Tokens are 256 random bits, so
//! one round of SHA-256 is enough: there is nothing to guess. Verification compares every hash in constant time.

mod file;
mod token;

pub(crate) use file::write_private;
pub use file::{Entry, TOKENS_FILE, create, list, revoke};
pub use token::generate;

use crate::config::Secret;
use ellie_core::Now;
use file::Stamp;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};
use subtle::{Choice, ConstantTimeEq};

/// The file of the operator token, in the data directory.
pub const OPERATOR_FILE: &str = "operator.token";

/// How often, at most, the token file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What a token allows. Each scope includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Reads, where they are protected.
    Read,
    /// Registering, heartbeats and deregistering.
    Register,
    /// Everything.
    Operate,
}

impl Scope {
    /// The name on the command line and in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Register => "register",
            Self::Operate => "operate",
        }
    }

    /// Whether it includes `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "read" => Ok(Self::Read),
            "register" => Ok(Self::Register),
            "operate" => Ok(Self::Operate),
            _ => Err(format!("`{}` is not read, register or operate", ellie_core::model::excerpt(s))),
        }
    }
}

/// Whose token it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's name, as the journal tells it; `operator` for the operator token.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
}

/// Where the operator token is, for whoever tells the user at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Set in the configuration.
    Configured,
    /// Made just now and written to this file.
    Created(PathBuf),
    /// In this file since an earlier start.
    Existing(PathBuf),
    /// Made just now and kept nowhere: to be printed once.
    Printed(Secret),
}

type Hash = [u8; 32];

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

struct Known {
    operator: Hash,
    entries: Vec<Entry>,
    /// Made for what this process started; they end with it.
    granted: Vec<Entry>,
    looked: Option<Instant>,
    stamp: Option<Stamp>,
}

/// The tokens that are accepted. Share it in an `Arc`.
pub struct Tokens {
    file: Option<PathBuf>,
    /// The operator token in force where none is configured.
    own: Hash,
    // Written when the token file changed or on a reload; a few hundred bytes are read under it otherwise.
    known: RwLock<Known>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Tokens {
    /// The tokens of a data directory, which is made where it is missing. The first start makes `operator.token`,
    /// readable by the owner alone, unless an operator token is configured.
    ///
    /// # Errors
    /// The directory or one of the files can't be made or read, or `tokens.json` is not what `ellie token` writes.
    pub fn open(data_dir: &Path, configured: Option<&Secret>) -> io::Result<(Self, Operator)> {
        file::make_dir(data_dir)?;
        let path = data_dir.join(OPERATOR_FILE);
        let (token, operator) = match (file::read_operator(&path)?, configured) {
            (_, Some(token)) => (token.clone(), Operator::Configured),
            (Some(token), None) => (token, Operator::Existing(path)),
            (None, None) => {
                let token = generate()?;
                write_private(&path, format!("{}\n", token.expose()).as_bytes())?;
                (token, Operator::Created(path))
            }
        };
        let tokens = data_dir.join(TOKENS_FILE);
        let stamp = Stamp::of(&tokens);
        let entries = file::read(&tokens)?;
        Ok((Self::new(Some(tokens), &token, entries, stamp), operator))
    }

    /// Tokens that are kept nowhere: the configured one, or one made just now.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn ephemeral(configured: Option<&Secret>) -> io::Result<(Self, Operator)> {
        let (token, operator) = match configured {
            Some(token) => (token.clone(), Operator::Configured),
            None => {
                let token = generate()?;
                (token.clone(), Operator::Printed(token))
            }
        };
        Ok((Self::new(None, &token, Vec::new(), None), operator))
    }

    fn new(file: Option<PathBuf>, operator: &Secret, entries: Vec<Entry>, stamp: Option<Stamp>) -> Self {
        let own = hash(operator.expose());
        Self {
            file,
            own,
            known: RwLock::new(Known { operator: own, entries, granted: Vec::new(), looked: None, stamp }),
        }
    }

    /// Whose token `bearer` is (the text after `Bearer `), or `None` where it is unknown or has expired.
    #[must_use]
    pub fn verify(&self, bearer: &str) -> Option<Identity> {
        self.verify_at(bearer, Now::read())
    }

    /// [`verify`](Self::verify) at a given moment.
    #[must_use]
    pub fn verify_at(&self, bearer: &str, now: Now) -> Option<Identity> {
        self.refresh(now);
        let presented = hash(bearer);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // Every hash is compared whether or not one matched before: the time tells nothing.
        let is_operator: Choice = presented.ct_eq(&known.operator);
        let mut found = None;
        for entry in known.entries.iter().chain(&known.granted) {
            let same = bool::from(presented.ct_eq(&entry.hash));
            if same && entry.expires.is_none_or(|at| at > now.wall) {
                found = Some(entry);
            }
        }
        if bool::from(is_operator) {
            return Some(Identity { name: "operator".into(), scope: Scope::Operate });
        }
        found.map(|entry| Identity { name: entry.name.clone(), scope: entry.scope })
    }

    /// Makes a token that is kept nowhere and ends with this process.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn grant(&self, name: &str, scope: Scope) -> io::Result<Secret> {
        let token = generate()?;
        let entry = Entry {
            name: name.to_owned(),
            scope,
            created: Now::read().wall,
            expires: None,
            hash: hash(token.expose()),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.granted.retain(|other| other.name != name);
        known.granted.push(entry);
        Ok(token)
    }

    /// Another operator token from now on; `None` returns to the one this started with.
    pub fn set_operator(&self, configured: Option<&Secret>) {
        let operator = configured.map_or(self.own, |token| hash(token.expose()));
        self.known.write().unwrap_or_else(PoisonError::into_inner).operator = operator;
    }

    /// Reads the token file again where it changed. A file that can't be read leaves what was known: a revoked token
    /// must not come back, and a good one must not go, because of a torn disk; the log says so.
    fn refresh(&self, now: Now) {
        let Some(path) = &self.file else { return };
        let due =
            |known: &Known| known.looked.is_none_or(|at| now.instant.saturating_duration_since(at) >= LOOK);
        if !due(&self.known.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !due(&known) {
            return;
        }
        known.looked = Some(now.instant);
        let stamp = Stamp::of(path);
        if stamp == known.stamp {
            return;
        }
        match file::read(path) {
            Ok(entries) => known.entries = entries,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the token file can't be read; the tokens known before stay in force");
            }
        }
        known.stamp = stamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::UNIX_EPOCH;

    fn operator_of(dir: &Path) -> String {
        std::fs::read_to_string(dir.join(OPERATOR_FILE)).unwrap().trim_end().to_owned()
    }

    #[test]
    fn the_first_start_makes_an_operator_token_and_the_next_one_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let (tokens, operator) = Tokens::open(&data, None).unwrap();
        assert_eq!(operator, Operator::Created(data.join(OPERATOR_FILE)));
        let token = operator_of(&data);
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data.join(OPERATOR_FILE)), mode(&data)), (0o600, 0o700));
        assert_eq!(tokens.verify(&token), Some(Identity { name: "operator".into(), scope: Scope::Operate }));
        for wrong in ["", " ", &token[1..], &format!("{token} "), &token.to_uppercase()] {
            assert_eq!(tokens.verify(wrong), None, "{wrong:?}");
        }
        let (tokens, operator) = Tokens::open(&data, None).unwrap();
        assert_eq!(operator, Operator::Existing(data.join(OPERATOR_FILE)));
        assert!(tokens.verify(&token).is_some());
    }

    #[test]
    fn a_configured_operator_token_is_the_only_one() {
        let dir = tempfile::tempdir().unwrap();
        drop(Tokens::open(dir.path(), None).unwrap());
        let made = operator_of(dir.path());
        let (tokens, operator) = Tokens::open(dir.path(), Some(&Secret::new("a-secret".into()))).unwrap();
        assert_eq!(operator, Operator::Configured);
        assert!(tokens.verify("a-secret").is_some());
        assert_eq!(tokens.verify(&made), None);
        tokens.set_operator(Some(&Secret::new("another".into())));
        assert_eq!(tokens.verify("a-secret"), None);
        assert!(tokens.verify("another").is_some());
    }

    #[test]
    fn tokens_of_the_file_are_seen_while_running_and_gone_when_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, _) = Tokens::open(dir.path(), None).unwrap();
        let start = Now::read();
        let token = create(dir.path(), "ci", Scope::Register, None, start.wall).unwrap();
        let at = |seconds| start.after(Duration::from_secs(seconds));
        assert_eq!(
            tokens.verify_at(token.expose(), at(1)),
            Some(Identity { name: "ci".into(), scope: Scope::Register })
        );
        let text = std::fs::read_to_string(dir.path().join(TOKENS_FILE)).unwrap();
        assert!(!text.contains(token.expose()), "only the hash is kept");
        let mode = std::fs::metadata(dir.path().join(TOKENS_FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(revoke(dir.path(), "ci").unwrap());
        assert!(!revoke(dir.path(), "ci").unwrap());
        assert_eq!(tokens.verify_at(token.expose(), at(2)), None);
    }

    #[test]
    fn a_token_with_a_ttl_expires() {
        let dir = tempfile::tempdir().unwrap();
        let now = Now::read();
        let ttl = Duration::from_secs(60);
        let token = create(dir.path(), "short", Scope::Read, Some(ttl), now.wall).unwrap();
        let (tokens, _) = Tokens::open(dir.path(), None).unwrap();
        assert!(tokens.verify_at(token.expose(), now.after(Duration::from_secs(58))).is_some());
        assert_eq!(tokens.verify_at(token.expose(), now.after(ttl)), None);
        assert!(list(dir.path()).unwrap()[0].expires.unwrap() > UNIX_EPOCH);
    }

    #[test]
    fn a_broken_file_is_told_at_start_and_changes_nothing_while_running() {
        let dir = tempfile::tempdir().unwrap();
        let now = Now::read();
        let token = create(dir.path(), "ci", Scope::Read, None, now.wall).unwrap();
        let (tokens, _) = Tokens::open(dir.path(), None).unwrap();
        std::fs::write(dir.path().join(TOKENS_FILE), "{\"tokens\": 3}").unwrap();
        assert!(tokens.verify_at(token.expose(), now.after(Duration::from_secs(9))).is_some());
        let error = Tokens::open(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("tokens.json") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn names_are_unique_and_scopes_are_ordered() {
        let dir = tempfile::tempdir().unwrap();
        let now = Now::read().wall;
        create(dir.path(), "ci", Scope::Read, None, now).unwrap();
        let error = create(dir.path(), "ci", Scope::Read, None, now).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(create(dir.path(), "a b", Scope::Read, None, now).is_err());
        assert!(create(dir.path(), "operator", Scope::Read, None, now).is_err());
        assert!(Scope::Operate.allows(Scope::Register) && Scope::Register.allows(Scope::Read));
        assert!(!Scope::Read.allows(Scope::Register));
    }

    #[test]
    fn ephemeral_tokens_are_kept_nowhere() {
        let (tokens, operator) = Tokens::ephemeral(None).unwrap();
        let Operator::Printed(token) = operator else { panic!("{operator:?}") };
        assert!(tokens.verify(token.expose()).is_some());
        assert_eq!(format!("{token:?}"), "Secret(…)");
    }
}
