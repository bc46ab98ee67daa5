export { AdaptletInstall, type AdaptletInstallProps } from './install.ts';
export {
  Adapter,
  AdapterAnalysis,
  type AdapterAnalysisProps,
  type AdapterProps,
  AdapterRollout,
  type AdapterRolloutProps,
  AdapterRoute,
  type AdapterRouteProps,
} from './kinds.ts';
