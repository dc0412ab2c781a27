//! A copy of the keys folder as of one moment, for a backup, and a look at one.

use std::path::Path;
use std::{fs, io};

use zeroize::Zeroizing;

use super::{FIND_ROOT, FORMAT, KeyFile, LOG_BYTES, damaged, file_error, unwrap};
use crate::keys::cipher::ValueKey;
use crate::keys::folder::{io_error, master_path, read_master};
use crate::keys::port::WrappedKeys as _;
use crate::keys::{KEY_BYTES, KeysError, Secret, StoreId};
use crate::read_only;

/// The keys folder as of one moment.
pub struct Copied {
    /// `keys.sqlite`, which needs no other file.
    pub image: Vec<u8>,
    /// `master.key`.
    pub master: Secret,
    /// `operator-key`, where there is one.
    pub operator_key: Option<Zeroizing<Vec<u8>>>,
    pub generation: u64,
    /// The data that they are for.
    pub data: Option<StoreId>,
}

impl std::fmt::Debug for Copied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[keys]")
    }
}

impl KeyFile {
    /// All of the folder. The caller holds the only connection, so nothing is made or destroyed
    /// meanwhile.
    pub(in crate::keys) fn copy(&mut self) -> Result<Copied, KeysError> {
        self.is_in_place()?;
        let path = master_path(&self.folder);
        let master = read_master(&path)?;
        if unwrap(&ValueKey::new(&master), FIND_ROOT, &self.wrapped_root()?).is_err() {
            return Err(KeysError::WrongMaster(self.folder.clone()));
        }
        let (generation, data) = (self.generation()?, self.data()?);
        let mut image =
            self.connection.serialize(rusqlite::MAIN_DB).map_err(file_error("copy it"))?.to_vec();
        // The copy has no log.
        if let Some(format) = image.get_mut(LOG_BYTES) {
            format.fill(1);
        }
        let path = self.folder.join("operator-key");
        let operator_key = match fs::read(&path) {
            Ok(text) => Some(Zeroizing::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        Ok(Copied { image, master, operator_key, generation, data: data.map(|(id, _)| id) })
    }

    /// What [`KeyFile::copy`] made, at the beginning of the file at `path`.
    pub(in crate::keys) fn look_at_copy(path: &Path, master: &[u8]) -> Result<Self, KeysError> {
        let mut bytes = Secret::default();
        if master.len() != KEY_BYTES {
            return Err(KeysError::NotAMaster(path.to_owned()));
        }
        bytes.copy_from_slice(master);
        let opened = read_only::open(path);
        let connection = opened.map_err(|source| damaged(path, "open it", source))?;
        let mut file = Self {
            folder: path.to_owned(),
            inode: None,
            in_file: 0,
            master: ValueKey::new(&bytes),
            connection,
            find_root: Secret::default(),
        };
        let format = file.format()?;
        if format > FORMAT {
            return Err(KeysError::Newer { found: format, known: FORMAT });
        }
        file.find_root = unwrap(&file.master, FIND_ROOT, &file.wrapped_root()?)
            .map_err(|_| KeysError::WrongMaster(path.to_owned()))?;
        Ok(file)
    }
}
