import { defineErrors } from './define.ts';

/** What keeps somebody from the dashboard. */
export const dashboardErrors = defineErrors({
  VIEWER_UNKNOWN: {
    summary: 'The dashboard is asked without a token that the API server accepts.',
    advice:
      'Open it by `kubectl adaptlet dashboard`, or give it a token of yours, as `kubectl create token NAME --audience adaptlet-dashboard` prints one.',
    grpc: 'UNAUTHENTICATED',
    retry: 'AfterChange',
  },
  VIEWER_FORBIDDEN: {
    summary: 'The dashboard is asked for what the person may not list in the cluster.',
    advice:
      'Name a namespace whose adapters you may view, or ask for the ClusterRole `view` there; for all namespaces it has to be bound for the cluster.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  VIEW_NOT_FOUND: {
    summary: 'The dashboard has no such page, or nothing is known of that object.',
    advice: 'Go back to the list; the object may be gone.',
    grpc: 'NOT_FOUND',
    retry: 'AfterChange',
  },
});
