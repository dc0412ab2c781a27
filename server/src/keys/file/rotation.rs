//! A new master key: every key is wrapped anew, and whatever it is cut off at, one of the two opens
//! them.

use std::io::Write as _;
use std::{fs, io};

use rusqlite::params;

use super::{FIND_ROOT, KeyFile, TABLES, file_error, raise, unwrap};
use crate::keys::cipher::{ValueKey, fill_random};
use crate::keys::folder::{io_error, next_master_path, private_file, sync_folder, take_its_name};
use crate::keys::{KeysError, Secret};

impl KeyFile {
    /// Wraps every key anew under a fresh master key and wipes the old one. Whatever it is cut off
    /// at, one of the two master keys in the folder opens the file, and the next start goes on with
    /// that one. The caller sees to it that nobody else has the folder open. Returns how many keys
    /// were wrapped.
    pub(in crate::keys) fn rotate(&mut self) -> Result<usize, KeysError> {
        let next = next_master_path(&self.folder);
        match fs::remove_file(&next) {
            // Left by a rotation that was cut off before it wrapped anything: it opens nothing.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("remove", &next)(error)),
        }
        let mut bytes = Secret::default();
        fill_random(bytes.as_mut_slice())?;
        let mut file = private_file(&next)?;
        file.write_all(bytes.as_slice())
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(&self.folder))
            .map_err(io_error("write", &next))?;
        let master = ValueKey::new(&bytes);
        let wrapped = self.wrap_all(&master)?;
        self.master = master;
        take_its_name(&self.folder)?;
        self.leave_nothing()?;
        Ok(wrapped)
    }

    fn wrap_all(&mut self, master: &ValueKey) -> Result<usize, KeysError> {
        let act = || file_error("wrap keys anew");
        let in_file = self.in_file;
        let foreign = || KeysError::WrongMaster(self.folder.clone());
        let over = |bound: &[u8], wrapped: &[u8]| {
            let key = unwrap(&self.master, bound, wrapped).map_err(|_| foreign())?;
            master.seal(bound, key.as_slice()).map_err(|_| KeysError::NoRandom)
        };
        let transaction = self.connection.unchecked_transaction().map_err(act())?;
        let mut count = 0;
        for (table, columns, bound) in TABLES {
            // The primary key is all of a row but the key itself, in the order of what it is bound
            // to.
            let sql =
                format!("SELECT rowid, wrapped, {columns} FROM {table} WHERE wrapped IS NOT NULL");
            let mut rows: Vec<(i64, Vec<u8>, Vec<u8>)> = Vec::new();
            {
                let mut statement = transaction.prepare(&sql).map_err(act())?;
                let mut found = statement.query([]).map_err(act())?;
                while let Some(row) = found.next().map_err(act())? {
                    let bound = bound(row).map_err(act())?;
                    rows.push((row.get(0).map_err(act())?, row.get(1).map_err(act())?, bound));
                }
            }
            let sql = format!("UPDATE {table} SET wrapped = ?2 WHERE rowid = ?1");
            let mut write = transaction.prepare(&sql).map_err(act())?;
            for (row, wrapped, bound) in rows {
                write.execute(params![row, over(&bound, &wrapped)?]).map_err(act())?;
                count += 1;
            }
        }
        let root =
            master.seal(FIND_ROOT, self.find_root.as_slice()).map_err(|_| KeysError::NoRandom)?;
        transaction.execute("UPDATE meta SET find_root = ?1", [root]).map_err(act())?;
        raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        Ok(count)
    }
}
