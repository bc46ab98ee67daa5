import { defineErrors } from './define.ts';

/** Metrics that are asked of a server. */
export const measurementErrors = defineErrors({
  METRIC_UNAVAILABLE: {
    summary: 'The server that a metric of a rollout is asked of does not answer, or answers an error.',
    advice: 'It is asked again by itself; check its address, and that it can be reached from here.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  METRIC_UNREADABLE: {
    summary: 'What a server answers to a metric of a rollout is not one number.',
    advice: 'Change the source of the metric so that it gives exactly one number.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  METRIC_DENIED: {
    summary: 'A metric of a rollout is to be asked of a host that the administrator does not allow.',
    advice: 'Have the host added to metricHosts of the operator, or ask another one.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
});
