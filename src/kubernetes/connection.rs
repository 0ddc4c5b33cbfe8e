//! The connection to the API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::trouble::Failed;

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

/// Connects. The client makes each request once: an agent that lasts has pauses of its own, in which it goes on.
pub(crate) async fn client(connection: &Connection) -> Result<Client, String> {
    connected(connection, false).await
}

/// Connects, for a command that ends. The client repeats requests that the server refuses for now, for some minutes.
pub(crate) async fn client_with_retry(connection: &Connection) -> Result<Client, String> {
    connected(connection, true).await
}

/// A client that is kept from request to request: for the server, a connection costs more than most requests.
pub(crate) struct KeptClient {
    connection: Connection,
    client: Option<Client>,
}

impl KeptClient {
    /// One that connects with the first request.
    pub(crate) fn new(connection: Connection) -> Self {
        KeptClient {
            connection,
            client: None,
        }
    }

    /// The client.
    pub(crate) async fn get(&mut self) -> Result<Client, Failed> {
        let client = match self.client.take() {
            Some(client) => client,
            None => client(&self.connection).await?,
        };
        self.client = Some(client.clone());
        Ok(client)
    }

    /// A request failed. The next one connects anew, since the token or a certificate may be another one by now.
    pub(crate) fn failed(&mut self, why: &Failed) {
        if !why.is_throttled {
            self.client = None;
        }
    }
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
