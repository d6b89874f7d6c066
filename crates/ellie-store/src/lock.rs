//! One process per data directory.

use crate::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The name of the lock file.
const NAME: &str = "lock";

/// Holds a data directory for as long as it lives. The operating system lets go of it when the process ends in
/// whatever way, so a leftover file locks nobody out.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(crate) fn acquire(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(NAME);
        let io = |doing| {
            let path = path.clone();
            move |e| Error::io(path, doing, e)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // For the message alone: whoever holds the lock may be about to write it.
                let _ = file.take(32).read_to_string(&mut pid);
                let holder = pid.trim().parse().ok();
                return Err(Error::Locked { directory: directory.into(), holder });
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(path, "lock", e)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io("write"))?;
        writeln!(file, "{}", std::process::id()).map_err(io("write"))?;
        Ok(Self { _file: file })
    }
}
