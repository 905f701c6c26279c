//! One entity by its key.

use libc::c_char;
use zonesync::core::entity::Kind;
use zonesync::core::id::{EntityKey, ID_MAX};

use crate::arguments::{Buffer, optional_text, text};
use crate::guard::guard;
use crate::handle;
use crate::node::zone_sync_node;
use crate::result::zone_sync_result_t;

/// What sort of item an entity is.
///
/// A zone may carry kinds that are not listed, with numbers from 1 to 31; so functions take and
/// give a number.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum zone_sync_kind_t {
    /// Facts about the installation that every node needs.
    NodeMetadata = 1,
    /// The licence of an organization.
    License = 2,
    /// A host name under which an environment is reached.
    AccessPoint = 3,
    /// An organization with its flows.
    Organization = 4,
    /// A dictionary of properties.
    Dictionary = 5,
    /// A Kafka cluster that native APIs refer to.
    KafkaCluster = 6,
    /// A group of policies that several flows share.
    SharedPolicyGroup = 7,
    /// A principal or resource of the authorization engine.
    AuthzEntity = 9,
    /// A policy of the authorization engine.
    AuthzPolicy = 10,
    /// Several APIs sold as one.
    ApiProduct = 11,
    /// An API with its plans.
    Api = 12,
    /// A subscription to a plan.
    Subscription = 13,
    /// A key that opens a subscription.
    ApiKey = 14,
}

const _: () = {
    use zone_sync_kind_t as C;
    let pairs = [
        (C::NodeMetadata, Kind::NODE_METADATA),
        (C::License, Kind::LICENSE),
        (C::AccessPoint, Kind::ACCESS_POINT),
        (C::Organization, Kind::ORGANIZATION),
        (C::Dictionary, Kind::DICTIONARY),
        (C::KafkaCluster, Kind::KAFKA_CLUSTER),
        (C::SharedPolicyGroup, Kind::SHARED_POLICY_GROUP),
        (C::AuthzEntity, Kind::AUTHZ_ENTITY),
        (C::AuthzPolicy, Kind::AUTHZ_POLICY),
        (C::ApiProduct, Kind::API_PRODUCT),
        (C::Api, Kind::API),
        (C::Subscription, Kind::SUBSCRIPTION),
        (C::ApiKey, Kind::API_KEY),
    ];
    assert!(pairs.len() == Kind::KNOWN.len(), "each kind has a name in C");
    let mut at = 0;
    while at < pairs.len() {
        assert!(pairs[at].0 as u32 == pairs[at].1.code() as u32);
        at += 1;
    }
};

/// Copies the payload of an entity, byte for byte as published, into `buffer`.
///
/// `kind` is a number of `zone_sync_kind_t`. `scope` is the API or API product of a subscription or
/// an API key, `subscription` the one that an API key serves; both are NULL with a length of 0 for
/// kinds without them. `length_out` gets the length. `buffer` may be NULL if `capacity` is 0; on
/// `ZONE_SYNC_BUFFER_TOO_SMALL` only the length is written. `ZONE_SYNC_NOT_FOUND` if the node holds
/// no such entity.
///
/// Safe from any thread; never waits for a sync in progress.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "each text is two")]
pub unsafe extern "C" fn zone_sync_payload(
    node: *const zone_sync_node,
    kind: u32,
    scope: *const c_char,
    scope_length: usize,
    id: *const c_char,
    id_length: usize,
    subscription: *const c_char,
    subscription_length: usize,
    buffer: *mut u8,
    capacity: usize,
    length_out: *mut usize,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle, the texts and the buffer.
        let (node, scope, id, subscription, buffer) = unsafe {
            (
                handle::borrow(node)?,
                optional_text(scope, scope_length)?.unwrap_or_default(),
                text(id, id_length)?,
                optional_text(subscription, subscription_length)?.unwrap_or_default(),
                Buffer::new(buffer, capacity, length_out)?,
            )
        };
        let kind = u8::try_from(kind)
            .ok()
            .and_then(Kind::from_code)
            .ok_or(zone_sync_result_t::InvalidArgument)?;
        // No entity has a longer name, and keys are not made of one.
        if [scope, id, subscription].iter().any(|part| part.len() > ID_MAX) {
            return Err(zone_sync_result_t::NotFound);
        }
        let view = node.state.view();
        let payload = view.get(EntityKey { kind, scope, id, subscription });
        buffer.put(payload.ok_or(zone_sync_result_t::NotFound)?)
    })
}
