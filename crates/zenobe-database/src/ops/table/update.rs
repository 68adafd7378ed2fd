//! UpdateTable.
//!
//! One request is one change: most settings must be the only operation in it. A change happens at
//! once, so the next DescribeTable shows it; the answer itself says `UPDATING` with the old values
//! where the service's answer does. Only the creation and the deletion of an index take time
//! ([`crate::background`]), and only one of them at a time.
//!
//! Source: API Reference, UpdateTable; Developer Guide, "Managing Global Secondary Indexes". A
//! setting that is written without a change (a same throughput, a stream that is on already) is an
//! error as in the service; limits on how often something may change are not enforced.

mod indexes;

use std::sync::Arc;

use zenobe_model::ServiceError;
use zenobe_model::operation::{
    BillingMode, GlobalSecondaryIndexUpdate, OnDemandThroughput, ProvisionedThroughput,
    ProvisionedThroughputDescription, ResourceStatus, SseSpecification, StreamSpecification,
    TableClass, TableDescription, UpdateTableRequest, WarmThroughput,
};
use zenobe_storage::SpaceId;

use super::settings::{self, Target};
use super::{check_supported, description, in_use, invalid, validation};
use crate::Inner;
use crate::catalog::{Changed, Edit, Encryption, IndexState, Table};
use crate::environment::uuid;
use crate::stream;

/// What a request needs beside the table: what must be the same when the change runs again.
struct Plan<'a> {
    request: &'a UpdateTableRequest,
    region: &'a str,
    now_ms: u64,
    /// Where the entries of a new index will live.
    space: SpaceId,
    /// What labels a new stream.
    stream_label: String,
    /// The encryption that is wanted, if the request speaks of it.
    encryption: Option<Option<Encryption>>,
}

/// `UpdateTable`.
pub(crate) async fn update_table(
    db: &Arc<Inner>,
    request: UpdateTableRequest,
) -> Result<TableDescription, ServiceError> {
    check_supported(request.unsupported)?;
    let request = without_empty_objects(request);
    check_request(&request, db.catalog.region())?;
    let creates = updates(&request).iter().any(|update| update.create.is_some());
    let name = db.catalog.table_name(&request.table_name)?;
    let changer = db.catalog.change(db).await;
    let now_ms = db.environment.now_ms();
    let mut plan = Plan {
        request: &request,
        region: db.catalog.region(),
        now_ms,
        space: SpaceId(u64::MAX),
        stream_label: stream::fresh_label(db, name, now_ms),
        encryption: wanted_encryption(db, request.sse_specification.as_ref())?,
    };
    // Nothing is allocated, and nobody held up, for a request that is refused.
    plan.apply(&*db.catalog.describe(name)?)?;
    let mut keep = Vec::new();
    if creates {
        keep = changer.allocate(name, 1).await?;
        plan.space = keep.first().copied().unwrap_or(plan.space);
    }
    // Before shards are closed, so that no write waits for what this waits for. A copy: nobody is to wait for
    // who holds the snapshot.
    let before = Table::clone(&*changer.agreed(name).await?);
    let stream = plan.stream_change(db, &before).await?;
    let changed = changer
        .update(name, |table| {
            let edit = Edit::from(plan.apply(table)?);
            let rows = stream.as_ref().map(|stream| stream.mutations(table)).transpose()?;
            Ok(Edit { keep: keep.clone(), rows: rows.unwrap_or_default(), ..edit })
        })
        .await?;
    if let Some(stream) = stream {
        stream.finish();
    }
    if let Some(Some(_)) = plan.encryption {
        settings::warn_of_encryption(name);
    }
    Ok(plan.answer(&changed))
}

fn updates(request: &UpdateTableRequest) -> &[GlobalSecondaryIndexUpdate] {
    request.global_secondary_index_updates.as_deref().unwrap_or_default()
}

fn wanted_encryption(
    db: &Inner,
    given: Option<&SseSpecification>,
) -> Result<Option<Option<Encryption>>, ServiceError> {
    let Some(given) = given else { return Ok(None) };
    if !settings::wants_encryption(given)? {
        return Ok(Some(None));
    }
    let key_id = uuid(db.environment.random());
    let (region, account) = (db.catalog.region(), db.catalog.account_id());
    Ok(Some(Some(settings::encryption(given, region, account, &key_id))))
}

/// Objects without members change nothing and count as absent.
fn without_empty_objects(mut request: UpdateTableRequest) -> UpdateTableRequest {
    request.on_demand_throughput =
        request.on_demand_throughput.filter(|given| *given != OnDemandThroughput::default());
    request.warm_throughput =
        request.warm_throughput.filter(|given| *given != WarmThroughput::default());
    request
}

/// Checks what can be checked without the table.
fn check_request(request: &UpdateTableRequest, region: &str) -> Result<(), ServiceError> {
    let settings = [
        request.provisioned_throughput.is_some(),
        request.billing_mode.is_some(),
        request.stream_specification.is_some(),
        !updates(request).is_empty(),
        request.sse_specification.is_some(),
        request.deletion_protection_enabled.is_some(),
        request.on_demand_throughput.is_some(),
        request.warm_throughput.is_some(),
        request.table_class.is_some(),
    ];
    let given = settings.into_iter().filter(|given| *given).count();
    if given == 0 {
        return Err(validation(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required",
        ));
    }
    if request.global_secondary_index_updates.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("List of GlobalSecondaryIndexUpdates is empty"));
    }
    indexes::check_updates(updates(request))?;
    if given > 1 {
        check_alone(request)?;
    }
    check_throughput(request, region)?;
    if let Some(stream) = request.stream_specification {
        check_stream(stream)?;
    }
    if let Some(encryption) = &request.sse_specification {
        settings::wants_encryption(encryption)?;
    }
    // `AttributeDefinitions` matter to a new index only, and are checked with it.
    Ok(())
}

/// Checks which settings may stand beside each other.
fn check_alone(request: &UpdateTableRequest) -> Result<(), ServiceError> {
    let only = |what: &str| {
        Err(invalid(format!("{what} modification must be the only operation in the request")))
    };
    if request.sse_specification.is_some() {
        return only("Server-Side Encryption");
    }
    if request.table_class.is_some() {
        return only("TableClass");
    }
    if request.deletion_protection_enabled.is_some() {
        return only("DeletionProtection");
    }
    let creates = updates(request).iter().any(|update| update.create.is_some());
    if request.warm_throughput.is_some() {
        return Err(invalid(if creates {
            "Create global secondary index cannot be specified when updating WarmThroughput"
        } else {
            "WarmThroughput must be the only operation in the request"
        }));
    }
    let streams = request.stream_specification.is_some();
    if request.on_demand_throughput.is_some()
        && (streams || request.provisioned_throughput.is_some() || !updates(request).is_empty())
    {
        return Err(invalid(
            "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request",
        ));
    }
    let provisions = request.provisioned_throughput.is_some()
        || request.billing_mode == Some(BillingMode::Provisioned);
    if streams && provisions {
        return Err(invalid("You cannot modify stream status while updating table IOPS"));
    }
    let rebuilds = updates(request).iter().any(|update| update.update.is_none());
    if rebuilds && request.provisioned_throughput.is_some() {
        return Err(invalid("You cannot create or delete index while updating table IOPS"));
    }
    if rebuilds && streams {
        return Err(invalid("You cannot create or delete index while changing stream status"));
    }
    Ok(())
}

fn check_throughput(request: &UpdateTableRequest, region: &str) -> Result<(), ServiceError> {
    let Some(throughput) = request.provisioned_throughput else {
        if request.billing_mode == Some(BillingMode::Provisioned) {
            return Err(invalid(
                "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
            ));
        }
        return Ok(());
    };
    if request.billing_mode == Some(BillingMode::PayPerRequest) {
        return Err(invalid(
            "ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST",
        ));
    }
    settings::check_bounds(throughput, Target::Table, region)
}

fn check_stream(stream: StreamSpecification) -> Result<(), ServiceError> {
    match (stream.stream_enabled, stream.stream_view_type) {
        (true, None) => Err(invalid("If stream is being enabled then UpdateViewType is required")),
        (false, Some(_)) => {
            Err(invalid("If stream is being disabled, then UpdateViewType must not be specified"))
        }
        _ => Ok(()),
    }
}

impl Plan<'_> {
    /// The table after the change. Pure: the same table gives the same answer.
    fn apply(&self, before: &Table) -> Result<Table, ServiceError> {
        match before.status {
            ResourceStatus::Creating => {
                return Err(in_use(format!("Table is being created: {}", before.name)));
            }
            ResourceStatus::Deleting => {
                return Err(in_use(format!("Table is being deleted: {}", before.name)));
            }
            ResourceStatus::Updating | ResourceStatus::Active => {}
        }
        let mut table = before.clone();
        self.apply_throughput(&mut table)?;
        self.apply_on_demand(&mut table)?;
        indexes::apply(self, &mut table)?;
        self.apply_stream(&mut table)?;
        self.apply_encryption(&mut table)?;
        self.apply_class(&mut table);
        if let Some(protection) = self.request.deletion_protection_enabled {
            table.deletion_protection = protection;
        }
        if let Some(wanted) = self.request.warm_throughput {
            let current = settings::table_warm(&table);
            table.warm_throughput =
                Some(settings::raised_warm(current, wanted, Target::Table, self.region)?);
        }
        Ok(table)
    }

    /// `BillingMode` and `ProvisionedThroughput` of the table.
    fn apply_throughput(&self, table: &mut Table) -> Result<(), ServiceError> {
        let wanted = self.request.provisioned_throughput;
        let billing = self.request.billing_mode.unwrap_or(table.billing_mode);
        if billing == table.billing_mode {
            return match (billing, wanted) {
                (_, None) => Ok(()),
                (BillingMode::PayPerRequest, Some(_)) => Err(invalid(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
                )),
                (BillingMode::Provisioned, Some(wanted)) => {
                    check_iops_can_change(table)?;
                    self.change_throughput(table, wanted)
                }
            };
        }
        check_iops_can_change(table)?;
        let warm = settings::table_warm(table);
        table.warm_throughput = Some(settings::warmed(warm));
        for ordinal in 0..table.global_indexes.len() {
            let warm = table
                .global_indexes
                .get(ordinal)
                .map(|index| settings::warmed(settings::index_warm(table, index)));
            if let Some(index) = table.global_indexes.get_mut(ordinal) {
                index.warm_throughput = warm;
                index.on_demand_throughput = None;
            }
        }
        table.billing_mode = billing;
        table.on_demand_throughput = None;
        match (billing, wanted) {
            (BillingMode::Provisioned, Some(wanted)) => {
                table.provisioned_throughput =
                    settings::changed(table.provisioned_throughput, wanted, self.now_ms);
            }
            (BillingMode::Provisioned, None) => return Err(ServiceError::internal()),
            (BillingMode::PayPerRequest, _) => {
                table.last_on_demand_ms = Some(self.now_ms);
                table.provisioned_throughput = without_units(table.provisioned_throughput);
                for index in &mut table.global_indexes {
                    index.provisioned_throughput = without_units(index.provisioned_throughput);
                }
            }
        }
        Ok(())
    }

    fn change_throughput(
        &self,
        table: &mut Table,
        wanted: ProvisionedThroughput,
    ) -> Result<(), ServiceError> {
        let current = table.provisioned_throughput;
        check_changes(current, wanted, "the table", "the table")?;
        table.warm_throughput = Some(settings::warmed(settings::table_warm(table)));
        table.provisioned_throughput = settings::changed(current, wanted, self.now_ms);
        Ok(())
    }

    fn apply_on_demand(&self, table: &mut Table) -> Result<(), ServiceError> {
        let given = self.request.on_demand_throughput;
        let checked = settings::on_demand(given, table.billing_mode, Target::Table, self.region)?;
        let Some(wanted) = checked else { return Ok(()) };
        for (doing, is) in [("creation", is_creating as fn(&_) -> bool), ("deletion", is_deleting)]
        {
            let names = names_of(table, is);
            if !names.is_empty() {
                return Err(in_use(format!(
                    "OnDemandThroughput cannot be updated while index {doing} is in progress for indexes: [{}]",
                    names.join(", ")
                )));
            }
        }
        table.on_demand_throughput =
            settings::merged_on_demand(table.on_demand_throughput, wanted).1;
        Ok(())
    }

    fn apply_stream(&self, table: &mut Table) -> Result<(), ServiceError> {
        let Some(wanted) = self.request.stream_specification else { return Ok(()) };
        for (doing, is) in [("created", is_allocating as fn(&_) -> bool), ("deleted", is_deleting)]
        {
            if !names_of(table, is).is_empty() {
                return Err(in_use(format!(
                    "Can't change stream status when an index is being {doing}"
                )));
            }
        }
        if !wanted.stream_enabled {
            if table.stream.take().is_none() {
                return Err(validation(format!(
                    "Table has no stream to disable: TableName: {}",
                    table.name
                )));
            }
            return Ok(());
        }
        if table.stream.is_some() {
            return Err(validation(format!(
                "Table already has an enabled stream: TableName: {}",
                table.name
            )));
        }
        table.stream = wanted.stream_view_type;
        table.stream_label = Some(self.stream_label.clone());
        Ok(())
    }

    /// What the request does to the shards that writes go to, if it speaks of the stream.
    async fn stream_change<'a>(
        &self,
        db: &'a Inner,
        before: &'a Table,
    ) -> Result<Option<stream::Change<'a>>, ServiceError> {
        let Some(wanted) = self.request.stream_specification else { return Ok(None) };
        // Nothing is held up for a request that is refused.
        let after = self.apply(before)?;
        let change = if wanted.stream_enabled {
            stream::Change::enable(db, &before.writer, &after, self.now_ms).await?
        } else {
            stream::Change::disable(db, before, self.now_ms).await?
        };
        Ok(Some(change))
    }

    fn apply_encryption(&self, table: &mut Table) -> Result<(), ServiceError> {
        let Some(wanted) = &self.encryption else { return Ok(()) };
        let named =
            self.request.sse_specification.as_ref().and_then(|sse| {
                sse.kms_master_key_id.as_deref().filter(|key| key.starts_with("arn:"))
            });
        match (&table.encryption, wanted) {
            (None, None) => return Err(invalid("Table is already encrypted by default")),
            (Some(current), Some(_))
                if named.is_some() && current.kms_key_arn.as_deref() == named =>
            {
                return Err(invalid(
                    "Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you want to change Master Key",
                ));
            }
            // Asked for again without a key: the key stays.
            (Some(_), Some(_)) if named.is_none() => {}
            _ => table.encryption.clone_from(wanted),
        }
        Ok(())
    }

    fn apply_class(&self, table: &mut Table) {
        let Some(wanted) = self.request.table_class else { return };
        if table.table_class.unwrap_or(TableClass::Standard) != wanted {
            table.table_class = Some(wanted);
            table.table_class_changed_ms = Some(self.now_ms);
        }
    }

    /// What the request is answered with.
    fn answer(&self, changed: &Changed) -> TableDescription {
        let before = description::describe(&changed.before, self.now_ms);
        let Some(after) = &changed.after else { return before };
        let mut answer = description::describe(after, self.now_ms);
        let request = self.request;
        if request.billing_mode.is_some()
            || request.provisioned_throughput.is_some()
            || request.stream_specification.is_some()
            || request.table_class.is_some()
        {
            answer.table_status = ResourceStatus::Updating;
        }
        if changed.before.billing_mode != after.billing_mode {
            if after.billing_mode == BillingMode::PayPerRequest
                && let Some(summary) = &mut answer.billing_mode_summary
            {
                summary.last_update_to_pay_per_request_ms = changed.before.last_on_demand_ms;
            }
            for index in &mut answer.global_secondary_indexes {
                if index.index_status == ResourceStatus::Active {
                    index.index_status = ResourceStatus::Updating;
                }
            }
        } else if request.provisioned_throughput.is_some() {
            answer.provisioned_throughput = before.provisioned_throughput;
        }
        if request.table_class.is_some() {
            answer.table_class_summary = before.table_class_summary;
        }
        if request.sse_specification.is_some() {
            let shown = before.sse_description.clone().or(answer.sse_description.take());
            answer.sse_description = shown.map(|mut sse| {
                sse.status = "UPDATING";
                sse
            });
        }
        if let Some(wanted) = request.on_demand_throughput {
            let old = changed
                .before
                .on_demand_throughput
                .filter(|_| changed.before.billing_mode == after.billing_mode);
            answer.on_demand_throughput = Some(settings::merged_on_demand(old, wanted).0);
        }
        if request.warm_throughput.is_some() {
            answer.warm_throughput = before.warm_throughput.map(|mut warm| {
                warm.status = ResourceStatus::Updating;
                warm
            });
        }
        indexes::answer(request, &before, &mut answer);
        answer
    }
}

fn is_allocating(state: &IndexState) -> bool {
    matches!(state, IndexState::Creating { backfilling: false })
}

fn is_creating(state: &IndexState) -> bool {
    matches!(state, IndexState::Creating { .. })
}

fn is_deleting(state: &IndexState) -> bool {
    matches!(state, IndexState::Deleting)
}

fn names_of(table: &Table, is: fn(&IndexState) -> bool) -> Vec<&str> {
    table
        .global_indexes
        .iter()
        .filter(|index| is(&index.state))
        .map(|index| index.name.as_str())
        .collect()
}

/// The throughput of a table cannot change while an index is being set up or deleted.
fn check_iops_can_change(table: &Table) -> Result<(), ServiceError> {
    for (doing, is) in [("created", is_allocating as fn(&_) -> bool), ("deleted", is_deleting)] {
        let names = names_of(table, is);
        if !names.is_empty() {
            return Err(in_use(format!(
                "Can't change table IOPS when an index is being {doing}. Table: {} Indexes: [{}]",
                table.name,
                names.join(", ")
            )));
        }
    }
    Ok(())
}

fn without_units(before: ProvisionedThroughputDescription) -> ProvisionedThroughputDescription {
    ProvisionedThroughputDescription { read_capacity_units: 0, write_capacity_units: 0, ..before }
}

/// Refuses a throughput that is as it was.
fn check_changes(
    current: ProvisionedThroughputDescription,
    wanted: ProvisionedThroughput,
    whose: &str,
    whose_units: &str,
) -> Result<(), ServiceError> {
    let (read, write) = (current.read_capacity_units, current.write_capacity_units);
    if (read, write) != (wanted.read_capacity_units, wanted.write_capacity_units) {
        return Ok(());
    }
    Err(validation(format!(
        "The provisioned throughput for {whose} will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for {whose_units}: {read}. Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for {whose_units}: {write}. Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )))
}
