// What a dashboard of ours may be: Grafana's own types, and for each kind of panel its own options and fields
// instead of Grafana's "any record". Turned into a JSON schema by tests/grafana/schema.py; RAW is replaced there by
// the folder that a version of @grafana/schema keeps its types in.
import * as dashboard from 'RAW/dashboard';
import * as bargauge from 'RAW/bargauge';
import * as heatmap from 'RAW/heatmap';
import * as stat from 'RAW/stat';
import * as statetimeline from 'RAW/statetimeline';
import * as table from 'RAW/table';
import * as timeseries from 'RAW/timeseries';

// As Grafana's Prometheus data source saves a query; its types are in no package of Grafana's schema.
interface Target {
  refId: string;
  expr: string;
  datasource: dashboard.DataSourceRef;
  editorMode: 'code';
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
  legendFormat: string;
}

// The same for an annotation.
interface Annotation {
  expr: string;
  step: string;
  titleFormat: string;
  tagKeys: string;
  useValueForTime: boolean;
}

interface DataLink {
  title: string;
  url: string;
  targetBlank: boolean;
}

// Copies the properties, as two kinds of panels call their types alike and the generator knows only names.
type Flat<T> = { [Key in keyof T]: T[Key] };

type Of<Type extends string, Options, Custom> = Omit<
  dashboard.Panel,
  'type' | 'options' | 'fieldConfig' | 'targets'
> & {
  type: Type;
  title: string;
  description: string;
  options: Flat<Options>;
  targets: Target[];
  fieldConfig: Omit<dashboard.FieldConfigSource, 'defaults'> & {
    defaults: Omit<dashboard.FieldConfig, 'custom' | 'links'> & { custom?: Flat<Custom>; links?: DataLink[] };
  };
};

type Panel =
  | Of<'bargauge', bargauge.Options, never>
  | Of<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Of<'stat', stat.Options, never>
  | Of<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>
  | Of<'table', table.Options, table.FieldConfig>
  | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>;

type Row = Omit<dashboard.RowPanel, 'panels'> & { panels: Panel[] };

export type Dashboard = Omit<dashboard.Dashboard, 'panels' | 'annotations'> & {
  panels: (Panel | Row)[];
  annotations: { list: (Flat<dashboard.AnnotationQuery> & Annotation)[] };
};
