// The icons of this extension.

import { LabIcon } from '@jupyterlab/ui-components';

import normanSvg from '../style/icons/norman.svg';

export const normanIcon = new LabIcon({
  name: 'norman:norman',
  svgstr: normanSvg
});
