/** Series by their selector, in promtool's notation: a minute between two values, `a+bxn` counts up, `_` is nothing. */
export type Series = Readonly<Record<string, string>>;

export type AlertCase = {
  readonly fires: Series;
  /** When it is looked, and which labels the alert has besides its severity. */
  readonly at: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** What `fires` is compared with: nearly as bad. */
  readonly silent: Series;
};

/** For each alert of the chart a case in which it fires, and one in which it does not. Time starts at 0. */
export const alertCases: Readonly<Record<string, AlertCase>> = {
  AdaptletOperatorWithoutLeader: {
    fires: { 'adaptlet_operator_leader{pod="a"}': '0x10', 'adaptlet_operator_leader{pod="b"}': '1x2 stale' },
    at: '6m',
    silent: { 'adaptlet_operator_leader{pod="a"}': '0x10', 'adaptlet_operator_leader{pod="b"}': '1x10' },
  },
  AdaptletCertificateExpires: {
    // 5 hours after the start.
    fires: {
      'adaptlet_operator_certificate_expiry_timestamp_seconds{pod="a"}': '86400x90',
      'adaptlet_operator_certificate_expiry_timestamp_seconds{pod="b"}': '18000x90',
    },
    at: '80m',
    silent: { 'adaptlet_operator_certificate_expiry_timestamp_seconds{pod="a"}': '86400x90' },
  },
  AdaptletOperatorCacheUnhealthy: {
    fires: {
      'adaptlet_operator_cache_healthy{pod="a",kind="Adapter"}': '1x20',
      'adaptlet_operator_cache_healthy{pod="b",kind="Adapter"}': '1x5 0x15',
    },
    at: '12m',
    labels: { kind: 'Adapter' },
    // An API server that was away for four minutes.
    silent: { 'adaptlet_operator_cache_healthy{pod="a",kind="Adapter"}': '1x5 0x4 1x10' },
  },
  AdaptletRemovalChecksFailing: {
    fires: { 'adaptlet_operator_removal_checks_failing{pod="a"}': '0x5 1+1x20' },
    at: '17m',
    silent: { 'adaptlet_operator_removal_checks_failing{pod="a"}': '0x5 1+1x8 0x10' },
  },
  AdaptletPlanLate: {
    fires: {
      'adaptlet_operator_plan_age_seconds{pod="a",quantile="1"}': '0x20',
      'adaptlet_operator_plan_age_seconds{pod="b",quantile="1"}': '0+60x20',
    },
    at: '12m',
    silent: { 'adaptlet_operator_plan_age_seconds{pod="b",quantile="1"}': '300x20' },
  },
  AdaptletRuntimeUnanswered: {
    // One runtime of a hundred that never answers.
    fires: {
      'adaptlet_operator_sync_unanswered_total{pod="a"}': '0+1x40',
      'adaptlet_operator_sync_streams{pod="a"}': '100x40',
    },
    at: '35m',
    // Of a thousand, 15 links that broke under a change.
    silent: {
      'adaptlet_operator_sync_unanswered_total{pod="a"}': '0x5 0+1x15 15x20',
      'adaptlet_operator_sync_streams{pod="a"}': '1000x40',
    },
  },
  AdaptletRuntimeOffline: {
    // Another replica leads after half an hour.
    fires: {
      'adaptlet_runtime_offline_since_timestamp_seconds{pod="a",namespace="s",name="edge-1",node="edge-1"}':
        '0x30 _x60',
      'adaptlet_runtime_offline_since_timestamp_seconds{pod="b",namespace="s",name="edge-1",node="edge-1"}':
        '_x30 0x60',
    },
    at: '62m',
    labels: { namespace: 's', name: 'edge-1', node: 'edge-1' },
    silent: {
      'adaptlet_runtime_offline_since_timestamp_seconds{pod="a",namespace="s",name="edge-1",node="edge-1"}':
        '0x58 stale',
    },
  },
  AdaptletAdapterFailed: {
    fires: { 'adaptlet_adapter_failed_runtimes{namespace="team-a",name="sql-v2"}': '4x20' },
    at: '6m',
    labels: { namespace: 'team-a', name: 'sql-v2' },
    silent: { 'adaptlet_adapter_failed_runtimes{namespace="team-a",name="sql-v2"}': '3x20' },
  },
  AdaptletRolloutDegraded: {
    fires: {
      'adaptlet_rollout_info{namespace="team-a",name="sql",strategy="canary",phase="Degraded"}': '1x20',
    },
    at: '6m',
    labels: { namespace: 'team-a', name: 'sql' },
    silent: {
      'adaptlet_rollout_info{namespace="team-a",name="sql",strategy="canary",phase="Paused"}': '1x20',
    },
  },
  AdaptletNoRuntimeReady: {
    fires: { 'adaptlet_ready{pod="a"}': '0x30', 'adaptlet_ready{pod="b"}': '1x5 0x25' },
    at: '16m',
    silent: { 'adaptlet_ready{pod="a"}': '0x30', 'adaptlet_ready{pod="b"}': '1x30' },
  },
  AdaptletRuntimeWithoutOperator: {
    fires: { 'adaptlet_connected_to_operator{instance="edge-1"}': '1x5 0x90' },
    at: '70m',
    labels: { instance: 'edge-1' },
    silent: { 'adaptlet_connected_to_operator{instance="edge-1"}': '1x5 0x50 1x40' },
  },
  AdaptletStoreFull: {
    // The first time there.
    fires: {
      'adaptlet_adapter_transitions_total{instance="edge-1",from="Fetching",to="Failed",cause="STORE_FULL"}':
        '_x5 1x20',
    },
    at: '10m',
    labels: { instance: 'edge-1', from: 'Fetching', to: 'Failed', cause: 'STORE_FULL' },
    silent: {
      'adaptlet_adapter_transitions_total{instance="edge-1",from="Fetching",to="Failed",cause="DIGEST_MISMATCH"}':
        '_x5 1x20',
    },
  },
  AdaptletStoreNearlyFull: {
    fires: {
      'adaptlet_disk_used_bytes{instance="edge-1"}': '97x90',
      'adaptlet_disk_budget_bytes{instance="edge-1"}': '100x90',
    },
    at: '65m',
    labels: { instance: 'edge-1' },
    silent: {
      'adaptlet_disk_used_bytes{instance="edge-1"}': '94x90',
      'adaptlet_disk_budget_bytes{instance="edge-1"}': '100x90',
    },
  },
  AdaptletClockSkew: {
    fires: { 'vllm:lora_requests_info{instance="edge-1",max_lora="4"}': '-40+60x30' },
    at: '12m',
    labels: { instance: 'edge-1', max_lora: '4' },
    silent: { 'vllm:lora_requests_info{instance="edge-1",max_lora="4"}': '-20+60x30' },
  },
};
