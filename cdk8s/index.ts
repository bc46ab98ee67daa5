export { AdaptletInstall, type AdaptletInstallProps } from './install.ts';
export {
  Adapter,
  type AdapterProps,
  AdapterRollout,
  type AdapterRolloutProps,
  AdapterRoute,
  type AdapterRouteProps,
} from './kinds.ts';
