"""µm/px as metadata state it."""

import pytest

from her2path.geometry import Mpp
from her2path.slides.mpp import mpp_of_aperio, mpp_of_imagej, mpp_of_ome

OME = """<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument><Objective NominalMagnification="40"/></Instrument>
<Image><Pixels PhysicalSizeX="0.25" PhysicalSizeY="0.26"/></Image></OME>"""


def test_ome_xml_states_the_pixel_and_the_objective():
    assert mpp_of_ome(OME) == (Mpp(0.25, 0.26), 40.0)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE OME [<!ENTITY x "0.25">]>',
        '<!DOCTYPE OME [<!ENTITY x "0."><!ENTITY y "&x;25">]>',
        '<!DOCTYPE OME SYSTEM "file:///etc/passwd">',
    ],
)
def test_ome_xml_that_declares_a_document_type_states_nothing(doctype):
    entity = "&y;" if "ENTITY y" in doctype else "&x;" if "ENTITY" in doctype else "0.25"
    assert mpp_of_ome(doctype + OME.replace("0.25", entity)) == (None, None)


def test_of_several_objectives_that_of_the_picture_counts():
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument>'
        '<Objective ID="O:0" NominalMagnification="4"/>'
        '<Objective ID="O:1" NominalMagnification="40"/></Instrument>'
        '<Image ID="Image:0">{}<Pixels PhysicalSizeX="0.25" PhysicalSizeY="0.25"/></Image></OME>'
    )
    assert mpp_of_ome(xml.format('<ObjectiveSettings ID="O:1"/>'))[1] == 40
    assert mpp_of_ome(xml.format(""))[1] == 4


def test_a_comma_in_an_aperio_description_is_a_point():
    assert mpp_of_aperio("Aperio|AppMag = 40|MPP = 0,2520|x") == Mpp(0.252, 0.252)
    assert mpp_of_aperio("Aperio|MPP = 0.2520") == Mpp(0.252, 0.252)
    assert mpp_of_aperio("Aperio|MPP = 0,25,20") is None


def test_imagej_names_an_inch_in_full():
    assert mpp_of_imagej(101_600, 101_600, "inch") == Mpp(0.25, 0.25)
    assert mpp_of_imagej(72, 72, "inch") is None
