// The list of models, or what to do while there are none.

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ModelSummary } from '../api';
import { State } from './server';

const FIRST_UPLOAD = '%load_ext norman_jupyter\n%norman upload ./model';

interface IModelsProps {
  readonly models: readonly ModelSummary[];
  readonly hasMore: boolean;
  readonly trans: TranslationBundle;
  readonly onShowMore: () => void;
}

/** Every model with its active version and state. */
export function Models(props: IModelsProps): React.JSX.Element {
  const { models, hasMore, trans, onShowMore } = props;
  if (models.length === 0) {
    return <NoModels trans={trans} />;
  }
  return (
    <section className="norman-Models" aria-label={trans.__('Models')}>
      <ul className="norman-Models-list">
        {models.map(model => (
          <Model key={model.name} model={model} trans={trans} />
        ))}
      </ul>
      {hasMore ? (
        <button
          type="button"
          className="jp-Button jp-mod-styled norman-Button"
          onClick={onShowMore}
        >
          {trans.__('Show more models')}
        </button>
      ) : null}
    </section>
  );
}

function NoModels(props: {
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { trans } = props;
  return (
    <section className="norman-Empty">
      <p>{trans.__('No models yet. Upload one from a notebook:')}</p>
      <pre className="norman-Code">{FIRST_UPLOAD}</pre>
    </section>
  );
}

function Model(props: {
  readonly model: ModelSummary;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { model, trans } = props;
  const reference =
    model.active === null ? model.name : `${model.name}@${model.active}`;
  return (
    <li className="norman-Model" title={model.description ?? reference}>
      <span className="norman-Model-name">{model.name}</span>
      <span className="norman-Model-state">
        <State state={model.state} label={stateLabel(model, trans)} />
      </span>
      <span className="norman-Model-facts">
        {[versionLabel(model, trans), model.runtime, ...model.tags].join(' · ')}
      </span>
    </li>
  );
}

function stateLabel(model: ModelSummary, trans: TranslationBundle): string {
  return {
    loading: trans.__('loading'),
    ready: trans.__('ready'),
    failed: trans.__('failed')
  }[model.state];
}

function versionLabel(model: ModelSummary, trans: TranslationBundle): string {
  if (model.active === null) {
    return trans.__('no active version');
  }
  return model.active === model.latest
    ? `@${model.active}`
    : trans.__('@%1, latest @%2', model.active, model.latest);
}
