//! The connection to the API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// A watch has at least a bookmark a minute. After so long without a byte, its connection is lost.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

/// Where the API server and the credentials come from.
#[derive(Clone, Debug)]
pub enum Connection {
    /// `$KUBECONFIG`, `~/.kube/config`, or the pod's own account.
    Inferred,
    /// A file.
    Kubeconfig(PathBuf),
}

/// Connects. The client repeats requests that the server refuses for now.
pub(crate) async fn client(connection: &Connection) -> Result<Client, String> {
    connected(connection, true).await
}

/// Connects. The client makes each request once.
pub(crate) async fn client_without_retry(connection: &Connection) -> Result<Client, String> {
    connected(connection, false).await
}

async fn connected(connection: &Connection, retries: bool) -> Result<Client, String> {
    let mut config = match connection {
        Connection::Inferred => Config::infer().await.map_err(|error| error.to_string())?,
        Connection::Kubeconfig(path) => {
            let failed = |error: KubeconfigError| error.to_string();
            let read = Kubeconfig::read_from(path).map_err(failed)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(read, &options)
                .await
                .map_err(failed)?
        }
    };
    config.read_timeout = Some(SILENCE);
    config.default_retry = retries;
    Client::try_from(config).map_err(|error| error.to_string())
}
