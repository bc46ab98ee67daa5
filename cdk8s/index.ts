export { AdaptletInstall, type AdaptletInstallProps } from './install.ts';
export {
  Adapter,
  AdapterPolicy,
  type AdapterPolicyProps,
  type AdapterProps,
  AdapterRollout,
  type AdapterRolloutProps,
  AdapterRoute,
  type AdapterRouteProps,
} from './kinds.ts';
