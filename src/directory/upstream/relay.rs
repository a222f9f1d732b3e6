//! Accounting handed on: what a client tells, a server behind us writes down (RFC 2866 §4.1).

use async_trait::async_trait;

use crate::domain::Outage;
use crate::domain::Secret;
use crate::ports::AccountingRelay;
use crate::wire::radius::Code;
use crate::wire::radius::forward::Forward;

use super::Upstream;
use super::primary::outage;

#[async_trait]
impl AccountingRelay for Upstream {
    async fn relay(&self, packet: &Secret) -> Result<(), Outage> {
        let forward = Forward::from_bytes(packet.expose()).map_err(|_| Outage::Fault)?;
        let answer = self.ask(&forward, Code::AccountingRequest, None).await.map_err(outage)?;
        if answer.code == Code::AccountingResponse { Ok(()) } else { Err(Outage::Fault) }
    }
}
