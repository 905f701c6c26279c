//! Environment variables, and the two ways in which a property's name finds one.
//!
//! With a Gravitee prefix, hyphens vanish: `zonesync.full-read` is `GRAVITEE_ZONESYNC_FULLREAD`.
//! Without it, Spring's rule holds: hyphens become `_`, as in `ZONESYNC_FULL_READ`.

use std::collections::BTreeMap;

/// The prefixes that count; no mixed case does.
const PREFIXES: [&str; 4] = ["gravitee.", "gravitee_", "GRAVITEE.", "GRAVITEE_"];

/// The environment.
#[derive(Clone, Default)]
pub(super) struct Variables {
    /// By full name.
    all: BTreeMap<String, String>,
    /// From the name without its prefix to the full one.
    cut: BTreeMap<String, String>,
}

impl Variables {
    /// Takes the variables. Of two that are one after the cut, the last wins.
    pub(super) fn new(variables: &[(String, String)]) -> Self {
        let mut made = Self::default();
        for (name, value) in variables {
            if let Some(cut) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
                made.cut.insert(cut.to_owned(), name.clone());
            }
            made.all.insert(name.clone(), value.clone());
        }
        made
    }

    /// Finds a property among the variables with a Gravitee prefix: full name and value.
    pub(super) fn prefixed(&self, property: &str) -> Option<(&str, &str)> {
        let full = relaxed(property).iter().find_map(|name| self.cut.get(name))?;
        Some((full, &self.all[full]))
    }

    /// Finds a property among all variables by Spring's rule: full name and value.
    pub(super) fn plain(&self, property: &str) -> Option<(&str, &str)> {
        let upper = property.to_ascii_uppercase();
        let forms = [property, &upper].map(|name| {
            let dots = name.replace('.', "_");
            let both = dots.replace('-', "_");
            [name.to_owned(), dots, name.replace('-', "_"), both]
        });
        let (name, value) =
            forms.iter().flatten().find_map(|name| self.all.get_key_value(name.as_str()))?;
        Some((name, value))
    }

    /// Gives the value of the variable with exactly this name.
    pub(super) fn exact(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str)
    }

    /// Lists the full names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }
}

/// Cuts the prefix of a Gravitee variable in any case, and says whether this case counts.
pub(super) fn cut_any_case(name: &str) -> Option<(&str, bool)> {
    let (head, tail) = name.split_at_checked("gravitee_".len())?;
    let counts = PREFIXES.contains(&head);
    let near = PREFIXES.iter().any(|prefix| prefix.eq_ignore_ascii_case(head));
    near.then_some((tail, counts))
}

/// Lists the names, without prefix, under which a property is looked for, first choice first.
pub(super) fn relaxed(property: &str) -> Vec<String> {
    let mut names = Vec::new();
    for start in [property.to_owned(), property.to_ascii_uppercase()] {
        let mut name = start;
        loop {
            let dots = name.replace('.', "_");
            let hyphens = name.replace('-', "");
            let both = dots.replace('-', "");
            names.extend([name.clone(), dots, hyphens, both]);
            if !name.contains('[') {
                break;
            }
            name = name.replace('[', ".").replace(']', "");
        }
    }
    names
}

/// Gives the customary variable for a property.
pub(super) fn customary(property: &str) -> String {
    let name = property.replace('[', ".").replace([']', '-'], "").replace('.', "_");
    format!("GRAVITEE_{}", name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Variables {
        Variables::new(&[(name.to_owned(), "v".to_owned())])
    }

    #[test]
    fn gravitee_variables_match_as_on_a_stock_gateway() {
        let found = [
            ("services.sync.distributed.enabled", "gravitee_services_sync_distributed_enabled"),
            ("services.sync.distributed.enabled", "GRAVITEE_SERVICES_SYNC_DISTRIBUTED_ENABLED"),
            ("services.sync.distributed.enabled", "gravitee.services.sync.distributed.enabled"),
            ("distributed-sync.redis.host", "gravitee_distributedsync_redis_host"),
            ("distributed-sync.redis.host", "GRAVITEE_DISTRIBUTEDSYNC_REDIS_HOST"),
            ("distributed-sync.redis.host", "gravitee_distributed-sync_redis_host"),
            ("distributed-sync.redis.host", "gravitee.distributedsync.redis.host"),
            ("distributed-sync.redis.trustAll", "gravitee_distributedsync_redis_trustAll"),
            ("distributed-sync.redis.trustAll", "GRAVITEE_DISTRIBUTEDSYNC_REDIS_TRUSTALL"),
            ("a-b.nodes[0].host", "gravitee_ab_nodes_0_host"),
            ("a-b.nodes[0].host", "GRAVITEE_AB_NODES_0_HOST"),
            ("a-b.nodes[0].host", "gravitee_ab_nodes[0]_host"),
            ("services.sync.bulk_items", "GRAVITEE_SERVICES_SYNC_BULK_ITEMS"),
            ("cluster.hazelcast.config-path", "GRAVITEE_CLUSTER_HAZELCAST_CONFIGPATH"),
        ];
        for (property, variable) in found {
            assert!(one(variable).prefixed(property).is_some(), "{property} {variable}");
        }
        let missed = [
            ("services.sync.distributed.enabled", "Gravitee_Services_Sync_Distributed_Enabled"),
            ("distributed-sync.redis.host", "GRAVITEE_DISTRIBUTED_SYNC_REDIS_HOST"),
            ("distributed-sync.redis.trustAll", "gravitee_distributedsync_redis_trustall"),
            ("a-b.nodes[0].host", "GRAVITEE_AB_NODES0_HOST"),
            ("services.sync.bulk_items", "GRAVITEE_SERVICES_SYNC_BULKITEMS"),
            ("cluster.hazelcast.config-path", "GRAVITEE_CLUSTER_HAZELCAST_CONFIG_PATH"),
        ];
        for (property, variable) in missed {
            assert!(one(variable).prefixed(property).is_none(), "{property} {variable}");
        }
    }

    #[test]
    fn of_two_spellings_the_order_of_forms_decides() {
        let set = |names: &[&str]| {
            Variables::new(&names.iter().map(|n| ((*n).into(), (*n).into())).collect::<Vec<_>>())
        };
        let two = set(&["GRAVITEE_DISTRIBUTEDSYNC_HOST", "gravitee_distributedsync_host"]);
        assert_eq!(
            two.prefixed("distributed-sync.host").unwrap().0,
            "gravitee_distributedsync_host"
        );
        let index = set(&["GRAVITEE_NODES[0]", "gravitee_nodes_0"]);
        assert_eq!(index.prefixed("nodes[0]").unwrap().0, "gravitee_nodes_0");
    }

    #[test]
    fn plain_variables_turn_hyphens_into_underscores() {
        for name in ["zonesync.full-read", "zonesync_full-read", "ZONESYNC_FULL_READ"] {
            assert!(one(name).plain("zonesync.full-read").is_some(), "{name}");
        }
        for name in ["ZONESYNC_FULLREAD", "Zonesync_full_read"] {
            assert!(one(name).plain("zonesync.full-read").is_none(), "{name}");
        }
    }

    #[test]
    fn the_customary_variable_is_one_that_is_found() {
        for property in ["zonesync.full-read", "a-b.nodes[2].keyPassword", "tags"] {
            assert!(one(&customary(property)).prefixed(property).is_some(), "{property}");
        }
    }
}
