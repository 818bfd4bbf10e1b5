//! Secrets of servers that share their state: the sealed values are in the state, the key that opens them is in a file of
//! each server and nowhere else.
//!
//! The first leader makes the key, or takes the one that is there, and the state remembers its public half. A server
//! without that key could lead only half (no secret for a container, no CA), so it doesn't start: [`known_key`].
//! What a server of before 0026 has in its own directory goes into the state when it leads ([`shared_vault`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Handle;
use wharf_secrets::{Error as SecretsError, Key, SealedFiles, SealedValues, Secret, Vault};
use wharf_state::{Database, Error as StateError, Migration, OptionalExtension as _};

use super::Settings;

const MIGRATIONS: &[Migration] = &["
    CREATE TABLE secret_key (id INTEGER PRIMARY KEY, recipient TEXT NOT NULL) STRICT;
    CREATE TABLE secret_value (fingerprint TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
"];

/// Where this server has the installation's key.
pub(crate) fn key_path(settings: &Settings, data: &Path) -> PathBuf {
    settings.key_file.clone().unwrap_or_else(|| data.join("secrets/identity"))
}

/// The key of a server that does not lead yet, if it has one.
///
/// Errors: the state's secrets are sealed to another one.
pub(super) async fn known_key(reader: &Database, path: &Path) -> anyhow::Result<Option<Key>> {
    let key = Key::read(path)?;
    match recipient(reader).await {
        Ok(Some(wanted)) => Ok(Some(fitting(key, &wanted, path)?)),
        Ok(None) => Ok(key),
        Err(error) => {
            // Before any server has led there is no such table.
            tracing::debug!(%error, "the state does not say yet whose key seals its secrets");
            Ok(key)
        }
    }
}

/// The vault of the server that leads.
///
/// Errors: as above.
pub(crate) async fn shared_vault(
    database: &Database,
    settings: &Settings,
    data: &Path,
) -> anyhow::Result<Arc<Vault>> {
    database.migrate("secrets", MIGRATIONS).await?;
    let path = key_path(settings, data);
    let key = match recipient(database).await? {
        Some(wanted) => fitting(Key::read(&path)?, &wanted, &path)?,
        None => {
            let key = Key::read_or_make(&path)?;
            let (sql, made) = ("INSERT INTO secret_key (id, recipient) VALUES (1, ?1)", key.recipient());
            database.write(move |transaction| transaction.execute(sql, [made])).await?;
            key
        }
    };
    let values = SharedValues { database: database.clone(), runtime: Handle::current() };
    let vault = Arc::new(Vault::new(key, Box::new(values)));
    let (into, own) = (Arc::clone(&vault), data.to_owned());
    tokio::task::spawn_blocking(move || take_in(&into, &own, &path)).await??;
    Ok(vault)
}

/// The public half of the key to which the state's secrets are sealed.
async fn recipient(database: &Database) -> Result<Option<String>, StateError> {
    let sql = "SELECT recipient FROM secret_key WHERE id = 1";
    database.read(move |connection| connection.query_row(sql, (), |row| row.get(0)).optional()).await
}

fn fitting(key: Option<Key>, wanted: &str, path: &Path) -> anyhow::Result<Key> {
    let path = path.display();
    match key {
        Some(key) if key.recipient() == wanted => Ok(key),
        Some(key) => anyhow::bail!(
            "the secrets of this installation are sealed to the key {wanted}, and {path} holds another one, {}\n  \
             hint: keep that file as {path}.old, and put the key file of a server that has led in its place, with mode 0600",
            key.recipient()
        ),
        None => anyhow::bail!(
            "the secrets of this installation are sealed to the key {wanted}, and this server does not have it\n  \
             hint: copy secrets/identity out of the data directory of a server that has led to {path}, with mode 0600"
        ),
    }
}

/// Takes values in that lie in the server's own directory, sealed to its key or to the one that it had before. They stay
/// there if the directory has a state of its own, to which they belong.
fn take_in(vault: &Vault, data: &Path, key_path: &Path) -> anyhow::Result<()> {
    let directory = data.join("secrets/values");
    if !directory.is_dir() {
        return Ok(());
    }
    let files = SealedFiles::open(&directory)?;
    let mut before = key_path.as_os_str().to_owned();
    before.push(".old");
    let before = Key::read(Path::new(&before))?;
    let open = |sealed: &[u8]| -> Result<Secret, SecretsError> {
        match (vault.open_file(sealed), &before) {
            (Err(_), Some(before)) => before.open(sealed),
            (opened, _) => opened,
        }
    };
    let mut taken = Vec::new();
    for fingerprint in files.list()? {
        let Some(sealed) = files.read(&fingerprint)? else { continue };
        match open(&sealed) {
            Ok(secret) => {
                vault.put_as(&fingerprint, &secret)?;
                taken.push(fingerprint);
            }
            Err(error) => {
                tracing::warn!(fingerprint, %error, "a secret in this server's directory can't be opened");
            }
        }
    }
    if !data.join("state.db").exists() {
        files.remove(&taken).context("cannot remove secrets that the shared state has now")?;
    }
    Ok(())
}

/// Sealed values in the state. For threads that may block.
struct SharedValues {
    database: Database,
    runtime: Handle,
}

impl SharedValues {
    fn wait<T>(&self, answer: impl Future<Output = Result<T, StateError>>) -> Result<T, SecretsError> {
        self.runtime
            .block_on(answer)
            .map_err(|error| SecretsError::Store { reason: error.to_string(), code: error.code() })
    }
}

impl SealedValues for SharedValues {
    fn read(&self, fingerprint: &str) -> Result<Option<Vec<u8>>, SecretsError> {
        let (sql, name) = ("SELECT sealed FROM secret_value WHERE fingerprint = ?1", fingerprint.to_owned());
        let row = self.database.read(move |c| c.query_row(sql, [name], |row| row.get(0)).optional());
        self.wait(row)
    }

    fn write(&self, fingerprint: &str, sealed: &[u8]) -> Result<(), SecretsError> {
        let (name, sealed) = (fingerprint.to_owned(), sealed.to_vec());
        let sql = "INSERT INTO secret_value (fingerprint, sealed) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.wait(self.database.write(move |tx| tx.execute(sql, (name, sealed)))).map(drop)
    }

    fn list(&self) -> Result<Vec<String>, SecretsError> {
        let sql = "SELECT fingerprint FROM secret_value";
        self.wait(self.database.read(move |c| c.query_map(sql, (), |row| row.get(0))))
    }

    fn remove(&self, fingerprints: &[String]) -> Result<(), SecretsError> {
        let names = fingerprints.to_vec();
        let sql = "DELETE FROM secret_value WHERE fingerprint = ?1";
        self.wait(
            self.database
                .write(move |tx| names.iter().try_for_each(|name| tx.execute(sql, [name]).map(drop))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_test_support::{TempDir, temp_dir};

    /// The engine makes no difference here; tests/it/failover.rs has PostgreSQL.
    struct World {
        state: Database,
        directory: TempDir,
    }

    impl World {
        fn new() -> World {
            let directory = temp_dir();
            let state = Database::open(&directory.path().join("shared.db")).unwrap();
            World { state, directory }
        }

        /// A server's own directory.
        fn data(&self, name: &str) -> PathBuf {
            let data = self.directory.path().join(name);
            std::fs::create_dir_all(&data).unwrap();
            data
        }

        async fn vault(&self, name: &str) -> anyhow::Result<Arc<Vault>> {
            shared_vault(&self.state, &Settings::default(), &self.data(name)).await
        }
    }

    async fn blocking<T: Send + 'static>(
        vault: &Arc<Vault>,
        ask: impl FnOnce(&Vault) -> T + Send + 'static,
    ) -> T {
        let vault = Arc::clone(vault);
        tokio::task::spawn_blocking(move || ask(&vault)).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_second_server_with_the_key_reads_what_the_first_one_stored() {
        let world = World::new();
        let one = world.vault("one").await.unwrap();
        let fingerprint = blocking(&one, |vault| vault.put(&"correct horse".into()).unwrap()).await;
        let identity = |name: &str| world.data(name).join("secrets/identity");
        std::fs::create_dir_all(world.data("two").join("secrets")).unwrap();
        std::fs::copy(identity("one"), identity("two")).unwrap();
        let two = world.vault("two").await.unwrap();
        let wanted = fingerprint.clone();
        let found = blocking(&two, move |vault| vault.get(&wanted).unwrap()).await;
        assert_eq!(found, Some("correct horse".into()));
        assert_eq!(blocking(&two, Vault::all).await.len(), 1);
        assert_eq!(blocking(&two, |vault| vault.retain(&Default::default()).unwrap()).await, 1);
        assert!(!blocking(&one, move |vault| vault.has(&fingerprint)).await);
        assert!(!world.data("one").join("secrets/values").exists(), "nothing lies beside the key");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_without_the_key_is_told_which_one_and_makes_none() {
        let world = World::new();
        let data = world.data("two");
        let path = key_path(&Settings::default(), &data);
        assert!(known_key(&world.state, &path).await.unwrap().is_none(), "nobody has led");
        let key = world.vault("one").await.unwrap().recipient();
        for refused in [known_key(&world.state, &path).await.map(drop), world.vault("two").await.map(drop)] {
            let refused = refused.unwrap_err().to_string();
            for part in [key.as_str(), "does not have it", "hint: copy", &path.display().to_string()] {
                assert!(refused.contains(part), "{part} in {refused}");
            }
        }
        assert!(!path.exists(), "a new key would open nothing");
        let other = Key::read_or_make(&path).unwrap().recipient();
        let refused = known_key(&world.state, &path).await.err().unwrap().to_string();
        for part in [key.as_str(), other.as_str(), "another one", "identity.old"] {
            assert!(refused.contains(part), "{part} in {refused}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn values_of_a_directory_go_into_the_state_and_none_is_lost() {
        let world = World::new();
        let (one, two) = (world.data("one"), world.data("two"));
        let of_one = Vault::open(&one.join("secrets")).unwrap().put(&"of one".into()).unwrap();
        let of_two = Vault::open(&two.join("secrets")).unwrap().put(&"of two".into()).unwrap();
        // The first has a state of its own beside it, which needs the value when `state.url` is taken away again.
        std::fs::write(one.join("state.db"), "").unwrap();
        let values = |data: &Path| std::fs::read_dir(data.join("secrets/values")).unwrap().count();
        world.vault("one").await.unwrap();
        assert_eq!(values(&one), 1);
        // The second had another key until now.
        let (key, old) = (two.join("secrets/identity"), two.join("secrets/identity.old"));
        std::fs::rename(&key, &old).unwrap();
        std::fs::copy(one.join("secrets/identity"), &key).unwrap();
        let vault = world.vault("two").await.unwrap();
        for (fingerprint, value) in [(of_one, "of one"), (of_two, "of two")] {
            let found = blocking(&vault, move |vault| vault.get(&fingerprint).unwrap()).await;
            assert_eq!(found, Some(value.into()));
        }
        assert_eq!(values(&two), 0, "they are in the state alone");
    }
}
